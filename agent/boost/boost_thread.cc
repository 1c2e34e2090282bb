// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/boost_thread.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <future>
#include <utility>

#include "agent/boost/mechanism.h"
#include "common/scheduling.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

// The short slice means nothing to a real-time thread; it tells BPF that this one gives the CPU
// back at once.
absl::Status BecomeUrgent() {
  if (absl::Status brief = RequestShortSlice(); !brief.ok()) return brief;
  auto own = GetScheduling(0);
  if (!own.ok()) return own.status();
  SchedAttributes urgent = *own;
  urgent.flags = SCHED_FLAG_RESET_ON_FORK;
  urgent.policy = SCHED_FIFO;
  urgent.priority = kBoosterPriority;
  urgent.nice = 0;
  return SetScheduling(0, urgent);
}

absl::Status Await(int epoll, int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "watch a descriptor of the booster");
}

}  // namespace

absl::StatusOr<std::unique_ptr<BoostThread>> BoostThread::Start(const BoostFeed& feed,
                                                                const BoostLimits& limits,
                                                                BoostMechanism mechanism,
                                                                Ledger* ledger,
                                                                const Procfs* procfs, Clock clock) {
  auto log = BoostLogWriter::Create();
  if (!log.ok()) return log.status();
  auto platform = HostPlatform::Create(feed.vms_fd, mechanism, ledger, procfs);
  if (!platform.ok()) return platform.status();
  auto requests = BoostRequests::Create();
  if (!requests.ok()) return requests.status();
  std::unique_ptr<BoostThread> self(
      new BoostThread(*std::move(log), *std::move(platform), *std::move(requests), clock));
  self->booster_ = std::make_unique<Booster>(limits, mechanism, self->platform_.get(), &self->log_);
  if (absl::Status status = self->Open(feed); !status.ok()) return status;
  std::promise<absl::Status> started;
  self->thread_ = std::thread([&, raw = self.get()] {
    const absl::Status urgent = BecomeUrgent();
    started.set_value(urgent);
    if (urgent.ok()) raw->Run();
  });
  if (absl::Status status = started.get_future().get(); !status.ok()) return status;
  return self;
}

absl::Status BoostThread::Open(const BoostFeed& feed) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "make a pipe");
  work_out_.reset(ends[0]);
  work_in_.reset(ends[1]);
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!timer_.valid() || !epoll_.valid()) return absl::ErrnoToStatus(errno, "make a timer");
  ring_ = ring_buffer__new(feed.ring_fd, &BoostThread::OnEvent, this, nullptr);
  if (ring_ == nullptr) return absl::ErrnoToStatus(errno, "read the boost ring");
  for (const int fd : {work_out_.get(), timer_.get(), feed.ring_fd, requests_.fd()}) {
    if (absl::Status status = Await(epoll_.get(), fd); !status.ok()) return status;
  }
  return absl::OkStatus();
}

BoostThread::~BoostThread() {
  if (thread_.joinable()) {
    Post([](BoostThread& self) {
      self.booster_->SetEnabled(false, self.clock_.now_ns());
      self.stop_ = true;
    });
    thread_.join();
  }
  ring_buffer__free(ring_);
}

void BoostThread::Post(Work work) {
  // Owned by the pipe until it is read.
  const auto posted = reinterpret_cast<uintptr_t>(new Work(std::move(work)));
  while (write(work_in_.get(), &posted, sizeof(posted)) < 0 && errno == EINTR) {
  }
}

void BoostThread::DoPostedWork() {
  uintptr_t posted = 0;
  if (read(work_out_.get(), &posted, sizeof(posted)) != sizeof(posted)) return;
  (*std::unique_ptr<Work>(reinterpret_cast<Work*>(posted)))(*this);
}

void BoostThread::AddVm(uint64_t vm_id, uint32_t vm_index,
                        std::shared_ptr<const TableReader> table) {
  Post([vm_id, vm_index, table = std::move(table)](BoostThread& self) {
    self.platform_->AddVm(vm_index, table);
    self.booster_->AddVm(vm_id, vm_index, self.clock_.now_ns());
  });
}

void BoostThread::RemoveVm(uint32_t vm_index) {
  Post([vm_index](BoostThread& self) {
    self.booster_->RemoveVm(vm_index, self.clock_.now_ns());
    self.platform_->RemoveVm(vm_index);
  });
}

void BoostThread::SetEnabled(std::optional<uint32_t> vm_index, bool enabled) {
  Post([vm_index, enabled](BoostThread& self) {
    const uint64_t now = self.clock_.now_ns();
    if (vm_index) {
      self.booster_->SetVmEnabled(*vm_index, enabled, now);
    } else {
      self.booster_->SetEnabled(enabled, now);
    }
  });
}

void BoostThread::SetRepays(uint32_t vm_index, bool repays) {
  Post([vm_index, repays](BoostThread& self) {
    self.booster_->SetRepays(vm_index, repays, self.clock_.now_ns());
  });
}

int BoostThread::OnEvent(void* self, void* data, size_t size) {
  auto& thread = *static_cast<BoostThread*>(self);
  const auto* event = static_cast<const lh_boost_event*>(data);
  if (size < sizeof(*event)) return 0;
  thread.booster_->Request({.vm_id = event->vm_id,
                            .vm_index = event->vm_index,
                            .vcpu_id = event->vcpu_id,
                            .asker = event->is_heir ? BoostAsker::kHeir : BoostAsker::kDirect,
                            .state_word = event->state_word,
                            .report_word = event->report_word,
                            .at_ns = event->at_ns},
                           thread.clock_.now_ns());
  return 0;
}

// Returns when to come back for what was left.
uint64_t BoostThread::TakeRequests() {
  const uint64_t now = clock_.now_ns();
  if (requests_ended_) return 0;
  if (now < requests_from_ns_) return requests_from_ns_;
  const uint64_t from = requests_.Take(
      now, [&](const BoostRequest& request) { booster_->Request(request, clock_.now_ns()); });
  const bool was_waited_for = requests_from_ns_ == 0;
  requests_from_ns_ = from;
  requests_ended_ = requests_.fd() < 0;
  if (requests_ended_ || was_waited_for == (from == 0)) return from;
  epoll_event event{.events = EPOLLIN, .data = {.fd = requests_.fd()}};
  epoll_ctl(epoll_.get(), from == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, requests_.fd(), &event);
  return from;
}

void BoostThread::Run() {
  while (!stop_) {
    epoll_event events[4];
    const int count = epoll_wait(epoll_.get(), events, std::size(events), -1);
    const size_t boosted = booster_->active();
    // A boost that is asked for is the urgent thing.
    ring_buffer__consume(ring_);
    const uint64_t come_back = TakeRequests();
    const bool raised = booster_->active() > boosted;
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == work_out_.get()) DoPostedWork();
    }
    const uint64_t now = clock_.now_ns();
    const uint64_t look = booster_->Look(now);
    const uint64_t repay = platform_->repayment().Look(now);
    SetTimer(std::min({look, repay, come_back == 0 ? UINT64_MAX : come_back}));
    Publish();
    // Not while the holder may wait for the very CPU that this thread is on.
    if (!raised) platform_->CatchUp();
  }
}

// Setting it also clears an expiry that nobody has read.
void BoostThread::SetTimer(uint64_t at_ns) {
  itimerspec when{};
  if (at_ns != UINT64_MAX) {
    when.it_value.tv_sec = static_cast<time_t>(at_ns / kNsPerSecond);
    when.it_value.tv_nsec = static_cast<long>(at_ns % kNsPerSecond);
  }
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void BoostThread::Publish() {
  std::set<uint32_t> changed = booster_->TakeChanged();
  changed.merge(platform_->repayment().TakeChanged());
  for (const uint32_t vm_index : changed) {
    BoostFigures figures = booster_->Figures(vm_index);
    figures.debt_ns = platform_->repayment().OwedNs(vm_index);
    const auto words = std::bit_cast<FigureWords>(figures);
    for (size_t i = 0; i < words.size(); ++i) {
      published_[vm_index][i].store(words[i], std::memory_order_relaxed);
    }
  }
}

BoostFigures BoostThread::Figures(uint32_t vm_index) const {
  FigureWords words{};
  for (size_t i = 0; i < words.size(); ++i) {
    words[i] = published_[vm_index][i].load(std::memory_order_relaxed);
  }
  return std::bit_cast<BoostFigures>(words);
}

}  // namespace lockhost::agent
