// SPDX-License-Identifier: Apache-2.0
#include "agent/loop/event_loop.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace lockhost::agent {

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return absl::ErrnoToStatus(errno, "make an event loop");
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll)));
}

absl::Status EventLoop::Watch(int fd, uint32_t events, Callback callback) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = ++last_token_;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return absl::ErrnoToStatus(errno, "watch a descriptor");
  }
  watched_[fd] = {last_token_, std::make_shared<Callback>(std::move(callback))};
  fd_of_token_[last_token_] = fd;
  return absl::OkStatus();
}

void EventLoop::Change(int fd, uint32_t events) {
  const auto watched = watched_.find(fd);
  if (watched == watched_.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = watched->second.token;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Forget(int fd) {
  const auto watched = watched_.find(fd);
  if (watched == watched_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  fd_of_token_.erase(watched->second.token);
  watched_.erase(watched);
}

absl::Status EventLoop::Serve(int timeout_ms) {
  epoll_event events[64];
  const int count = epoll_wait(epoll_.get(), events, 64, timeout_ms);
  if (count < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "wait for events");
  for (int i = 0; i < count; ++i) {
    const auto fd = fd_of_token_.find(events[i].data.u64);
    if (fd == fd_of_token_.end()) continue;  // forgotten by an earlier callback
    const std::shared_ptr<Callback> callback = watched_.at(fd->second).callback;
    (*callback)(events[i].events);
  }
  return absl::OkStatus();
}

absl::Status EventLoop::Run() {
  while (!stopped_) {
    if (absl::Status status = Serve(-1); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status EventLoop::RunOnce(std::chrono::milliseconds timeout) {
  return Serve(static_cast<int>(timeout.count()));
}

absl::StatusOr<std::unique_ptr<Timer>> Timer::Create(EventLoop* loop,
                                                     std::function<void()> on_expiry) {
  UniqueFd fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "make a timer");
  const int raw = fd.get();
  std::unique_ptr<Timer> timer(new Timer(loop, std::move(fd)));
  const auto expired = [raw, on_expiry = std::move(on_expiry)](uint32_t) {
    uint64_t times;
    if (read(raw, &times, sizeof(times)) == sizeof(times)) on_expiry();
  };
  if (absl::Status status = loop->Watch(raw, EPOLLIN, expired); !status.ok()) return status;
  return timer;
}

Timer::~Timer() { loop_->Forget(fd_.get()); }

void Timer::Set(std::chrono::milliseconds delay) {
  const int64_t ns = std::max<int64_t>(1, std::chrono::nanoseconds(delay).count());
  itimerspec when{};
  when.it_value = {ns / 1'000'000'000, ns % 1'000'000'000};
  timerfd_settime(fd_.get(), 0, &when, nullptr);
}

}  // namespace lockhost::agent
