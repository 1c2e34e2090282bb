// SPDX-License-Identifier: Apache-2.0
#include "server/service/wire.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "common/scheduling.h"

namespace lockhost::server {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kNever = UINT64_MAX;
// After calls have moved: an answer that did not fit into its socket goes on when gRPC
// looks again, and nothing wakes us when the peer has made room.
constexpr uint64_t kFirstGlowNs = 10'000'000;
constexpr uint64_t kLastGlowNs = 1'280'000'000;
// What gRPC's timers write (keepalive, the end of an idle connection) is sent no later.
constexpr uint64_t kSweepNs = 2'000'000'000;
// How many looks a round counts for that answers to what was sent alone have brought about.
constexpr uint32_t kAnswersLooks = 4;

timespec ToTimespec(uint64_t ns) {
  return {static_cast<time_t>(ns / kNsPerSecond), static_cast<long>(ns % kNsPerSecond)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Wire>> Wire::Start(Clock clock, uint64_t look_ns,
                                                  uint32_t looks_per_second) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return absl::ErrnoToStatus(errno, "epoll_create1");
  UniqueFd written(epoll_create1(EPOLL_CLOEXEC));
  if (!written.valid()) return absl::ErrnoToStatus(errno, "epoll_create1");
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return absl::ErrnoToStatus(errno, "eventfd");
  std::unique_ptr<Wire> wire(new Wire(clock, look_ns, looks_per_second, std::move(epoll),
                                      std::move(written), std::move(wake)));
  // Edge-triggered: each write wakes once, and nobody needs to read the counter.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = wire->wake_.get()}};
  if (epoll_ctl(wire->epoll_.get(), EPOLL_CTL_ADD, wire->wake_.get(), &event) != 0) {
    return absl::ErrnoToStatus(errno, "watch an eventfd");
  }
  wire->thread_ = std::thread([raw = wire.get()] { raw->Run(); });
  return wire;
}

Wire::Wire(Clock clock, uint64_t look_ns, uint32_t looks_per_second, UniqueFd epoll,
           UniqueFd written, UniqueFd wake)
    : clock_(clock),
      look_ns_(look_ns),
      epoll_(std::move(epoll)),
      written_(std::move(written)),
      wake_(std::move(wake)),
      accept_loop_(epoll_.get()),
      pace_(looks_per_second, kLooksAtOnce) {}

Wire::~Wire() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  Wake();
  if (thread_.joinable()) thread_.join();
}

absl::Status Wire::WatchConnection(int peer_fd, int pipe_fd, WireServer* server) {
  epoll_event event{};
  // Edge-triggered: what is not read yet must wake us once, not all the time.
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = peer_fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, peer_fd, &event) != 0) {
    return absl::ErrnoToStatus(errno, "watch a connection");
  }
  event.events = EPOLLIN;
  event.data.fd = pipe_fd;
  if (epoll_ctl(written_.get(), EPOLL_CTL_ADD, pipe_fd, &event) != 0) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, peer_fd, nullptr);
    return absl::ErrnoToStatus(errno, "watch a connection");
  }
  connections_[peer_fd] = server;
  connections_[pipe_fd] = server;
  told_.insert(server);  // its silence has an end
  fresh_ = true;
  return absl::OkStatus();
}

void Wire::UnwatchConnection(int peer_fd, int pipe_fd) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, peer_fd, nullptr);
  epoll_ctl(written_.get(), EPOLL_CTL_DEL, pipe_fd, nullptr);
  connections_.erase(peer_fd);
  connections_.erase(pipe_fd);
}

void Wire::WaitWritable(int peer_fd, bool wait) {
  epoll_event event{};
  event.events = wait ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN | EPOLLET;
  event.data.fd = peer_fd;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, peer_fd, &event);
}

void Wire::Add(WireServer* server) {
  const std::lock_guard lock(mutex_);
  entries_.push_back(std::make_shared<Entry>(Entry{.server = server}));
}

void Wire::Hurry(WireServer* server) {
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<Entry>& entry : entries_) entry->ending |= entry->server == server;
  hurry_ = true;
  Wake();
}

void Wire::Remove(WireServer* server) {
  std::unique_lock lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [server](const auto& entry) { return entry->server == server; });
  if (found == entries_.end()) return;
  const std::shared_ptr<Entry> entry = *found;
  entry->close = true;
  emptied_.wait(lock, [&entry] { return entry->empty; });
  std::erase(entries_, entry);
  hurry_ = std::any_of(entries_.begin(), entries_.end(),
                       [](const auto& other) { return other->ending; });
}

void Wire::Wake() { eventfd_write(wake_.get(), 1); }

void Wire::AwaitLook() {
  std::unique_lock lock(mutex_);
  // The round that is under way may have passed a server by.
  const uint64_t round = rounds_ + 2;
  awaited_round_ = std::max(awaited_round_, round);
  Wake();
  looked_.wait(lock, [this, round] { return rounds_ >= round; });
}

void Wire::ProceedAt(uint64_t at_ns, CallTag* tag) { timers_.emplace(at_ns, tag); }

void Wire::Cancel(CallTag* tag) {
  const auto found = std::find_if(timers_.begin(), timers_.end(),
                                  [tag](const auto& timer) { return timer.second == tag; });
  if (found == timers_.end()) return;
  timers_.erase(found);
  tag->Proceed(false);
}

void Wire::Run() {
  pthread_setname_np(pthread_self(), "wire");
  // While it is inside gRPC the publisher waits for it.
  RequestShortSlice().IgnoreError();
  for (;;) {
    Sleep();
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    const bool moved = Look();
    RunTimers();
    SendOut();
    bool urgent = std::exchange(fresh_, false) || moved;
    {
      const std::lock_guard lock(mutex_);
      ++rounds_;
      urgent |= hurry_ || rounds_ < awaited_round_;
    }
    looked_.notify_all();
    glow_ns_ = moved ? kFirstGlowNs : (2 * glow_ns_ > kLastGlowNs ? 0 : 2 * glow_ns_);
    Rest(urgent ? 1 : kAnswersLooks);
  }
}

void Wire::Rest(uint32_t looks) {
  const uint64_t now_ns = clock_.now_ns();
  if (pace_.Take(now_ns, looks)) return;
  const timespec rest = ToTimespec(pace_.ReadyAtNs(looks) - now_ns);
  nanosleep(&rest, nullptr);
  pace_.Take(clock_.now_ns(), looks);
}

void Wire::Sleep() {
  const uint64_t now_ns = clock_.now_ns();
  uint64_t all_ns = timers_.empty() ? kNever : timers_.begin()->first;
  if (glow_ns_ != 0) all_ns = std::min(all_ns, now_ns + glow_ns_);
  if (look_ns_ != kNever) all_ns = std::min(all_ns, all_looked_ns_ + look_ns_);
  if (!connections_.empty()) all_ns = std::min(all_ns, all_looked_ns_ + kSweepNs);
  {
    const std::lock_guard lock(mutex_);
    if (hurry_ || rounds_ < awaited_round_) all_ns = now_ns;
  }
  const uint64_t until_ns = std::min({all_ns, ServersDueNs(), accept_loop_.Resume(now_ns)});
  const timespec timeout = ToTimespec(until_ns > now_ns ? until_ns - now_ns : 0);
  epoll_event events[kEventsAtOnce];
  const int count = epoll_pwait2(epoll_.get(), events, kEventsAtOnce,
                                 until_ns == kNever ? nullptr : &timeout, nullptr);
  all_ = clock_.now_ns() >= all_ns;
  TakeEvents(events, count, true);
}

uint64_t Wire::ServersDueNs() {
  const std::lock_guard lock(mutex_);
  uint64_t first_ns = kNever;
  for (const std::shared_ptr<Entry>& entry : entries_) {
    if (!entry->empty) first_ns = std::min(first_ns, entry->due_ns);
  }
  return first_ns;
}

void Wire::RunTimers() {
  const uint64_t now_ns = clock_.now_ns();
  while (!timers_.empty() && timers_.begin()->first <= now_ns) {
    CallTag* tag = timers_.begin()->second;
    timers_.erase(timers_.begin());
    tag->Proceed(true);
  }
}

Wire::Entries Wire::AllEntries() {
  const std::lock_guard lock(mutex_);
  return entries_;
}

}  // namespace lockhost::server
