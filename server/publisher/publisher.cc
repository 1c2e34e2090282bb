// SPDX-License-Identifier: Apache-2.0
#include "server/publisher/publisher.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <utility>

#include "common/scheduling.h"

namespace lockhost::server {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

absl::Status Watch(int epoll, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "watch a descriptor");
}

uint64_t ThreadCpuNs() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<uint64_t>(used.tv_sec) * kNsPerSecond + static_cast<uint64_t>(used.tv_nsec);
}

// The kernel may round up by its timer slack; a heartbeat can wait for that.
void WaitForEvents(int epoll, uint64_t now_ns, uint64_t until_ns) {
  const uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
  const timespec timeout = {static_cast<time_t>(wait_ns / kNsPerSecond),
                            static_cast<long>(wait_ns % kNsPerSecond)};
  epoll_event events[2];
  epoll_pwait2(epoll, events, 2, until_ns == PublisherCore::kNever ? nullptr : &timeout, nullptr);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Publisher>> Publisher::Start(PublisherCore::Options options,
                                                            Clock clock, HintTransport* transport,
                                                            PublisherStats* stats) {
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return absl::ErrnoToStatus(errno, "eventfd");
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return absl::ErrnoToStatus(errno, "epoll_create1");
  // Edge-triggered: each write wakes once, and nobody needs to read the counter.
  if (absl::Status watched = Watch(epoll.get(), wake.get(), EPOLLIN | EPOLLET); !watched.ok()) {
    return watched;
  }
  return std::unique_ptr<Publisher>(
      new Publisher(options, clock, transport, stats, std::move(wake), std::move(epoll)));
}

Publisher::Publisher(PublisherCore::Options options, Clock clock, HintTransport* transport,
                     PublisherStats* stats, UniqueFd wake, UniqueFd epoll)
    : instance_(options.instance),
      clock_(clock),
      stats_(stats),
      wake_(std::move(wake)),
      epoll_(std::move(epoll)),
      core_(options, transport, stats),
      on_event_([this](const agent::HintEvent& event) { core_.OnEvent(event); }),
      on_invalid_([this] { stats_->events_invalid.fetch_add(1, std::memory_order_relaxed); }),
      thread_([this] { Run(); }) {}

Publisher::~Publisher() {
  stop_ = true;
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Publisher::AgentHere(std::unique_ptr<HintRing> ring, std::unique_ptr<InterestMap> interest) {
  Post(AgentHereCommand{std::move(ring), std::move(interest)});
}
void Publisher::AgentGone() { Post(AgentGoneCommand{}); }
void Publisher::PutVm(std::shared_ptr<VmRecord> record) { Post(PutVmCommand{std::move(record)}); }
void Publisher::RemoveVm(uint64_t vm_id) { Post(RemoveVmCommand{vm_id}); }
void Publisher::AddStream(uint64_t vm_id, std::unique_ptr<HintSink> sink) {
  Post(AddStreamCommand{vm_id, std::move(sink)});
}
void Publisher::ApplyDemand(uint64_t vm_id, DemandUpdate update) {
  const bool wake = !update.can_wait();
  Post(DemandCommand{vm_id, std::move(update)}, wake);
}

void Publisher::Drain(uint64_t deadline_ns) {
  const uint64_t drain = drains_ + 1;  // one at a time
  Post(DrainCommand{});
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::nanoseconds(deadline_ns);
  while ((drains_ < drain || !idle_) && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Publisher::Post(Command command, bool wake) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(command));
    if (!wake || std::exchange(on_its_way_, true)) return;
  }
  eventfd_write(wake_.get(), 1);
}

void Publisher::Run() {
  // For who looks from outside. Nothing here is needed to be right, only to be prompt. The
  // process's other threads are patient (server/main.cc).
  pthread_setname_np(pthread_self(), "publisher");
  RequestShortSlice().IgnoreError();
  uint64_t next_tick_ns = 0;
  while (!stop_) {
    uint64_t now_ns = clock_.now_ns();
    WaitForEvents(epoll_.get(), now_ns, next_tick_ns);
    stats_->wakeups.fetch_add(1, std::memory_order_relaxed);
    if (ring_ != nullptr) ConsumeRing();
    now_ns = clock_.now_ns();
    core_.Flush(now_ns);
    if (RunCommands(now_ns) || now_ns >= next_tick_ns || core_.blocked()) {
      next_tick_ns = core_.Tick(now_ns);
    }
    idle_ = core_.idle();
    BePrompt(now_ns);
  }
}

// The short slice is asked for in either case: the agent knows by it who is brief.
void Publisher::BePrompt(uint64_t now_ns) {
  if (!may_be_real_time_) return;
  const bool allowed = real_time_budget_.Allows(ThreadCpuNs(), now_ns);
  if (allowed == stats_->real_time) return;
  may_be_real_time_ = allowed ? RequestRealTime().ok() : RequestShortSlice().ok();
  stats_->real_time = allowed && may_be_real_time_;
}

void Publisher::ConsumeRing() { ring_->Consume(on_event_, on_invalid_); }

bool Publisher::RunCommands(uint64_t now_ns) {
  {
    const std::lock_guard lock(mutex_);
    on_its_way_ = false;
    if (inbox_.empty()) return false;
    commands_.swap(inbox_);
  }
  for (Command& command : commands_) {
    std::visit([this, now_ns](auto& each) { Do(each, now_ns); }, command);
  }
  commands_.clear();
  return true;
}

void Publisher::Do(AgentHereCommand& command, uint64_t now_ns) {
  SetRing(std::move(command.ring));
  core_.AgentHere(std::move(command.interest), ring_ != nullptr, now_ns);
}
void Publisher::Do(AgentGoneCommand&, uint64_t) {
  SetRing(nullptr);
  core_.AgentGone();
}
void Publisher::Do(PutVmCommand& command, uint64_t now_ns) {
  core_.PutVm(std::move(command.record), now_ns);
}
void Publisher::Do(RemoveVmCommand& command, uint64_t now_ns) {
  core_.RemoveVm(command.vm_id, now_ns);
}
void Publisher::Do(AddStreamCommand& command, uint64_t now_ns) {
  core_.AddStream(command.vm_id, std::move(command.sink), now_ns);
}
void Publisher::Do(DemandCommand& command, uint64_t now_ns) {
  core_.ApplyDemand(command.vm_id, command.update, now_ns);
}
void Publisher::Do(DrainCommand&, uint64_t now_ns) {
  core_.Drain(now_ns);
  idle_ = false;  // until all is looked at that came before
  ++drains_;
}

void Publisher::SetRing(std::unique_ptr<HintRing> ring) {
  if (ring_ != nullptr) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, ring_->epoll_fd(), nullptr);
  ring_ = std::move(ring);
  // Cannot fail for lack of anything but memory; then the tables are polled.
  if (ring_ != nullptr && !Watch(epoll_.get(), ring_->epoll_fd(), EPOLLIN).ok()) {
    ring_.reset();
  }
}

}  // namespace lockhost::server
