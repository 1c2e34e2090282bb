// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_LOOP_EVENT_LOOP_H_
#define LOCKHOST_AGENT_LOOP_EVENT_LOOP_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// One thread waiting on many descriptors (epoll, level-triggered). A callback may watch
// and forget any descriptor, its own too. Not thread-safe.
class EventLoop {
 public:
  using Callback = std::function<void(uint32_t events)>;

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();

  // Calls back whenever one of `events` (EPOLLIN, ...) holds. The descriptor stays the
  // caller's, who forgets it before closing it.
  absl::Status Watch(int fd, uint32_t events, Callback callback);
  void Change(int fd, uint32_t events);
  void Forget(int fd);

  // Serves until Stop().
  absl::Status Run();
  // Serves what is ready within `timeout`, once.
  absl::Status RunOnce(std::chrono::milliseconds timeout);
  void Stop() { stopped_ = true; }

 private:
  struct Watched {
    uint64_t token;
    std::shared_ptr<Callback> callback;  // lives on while it runs, even if forgotten
  };
  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  absl::Status Serve(int timeout_ms);

  UniqueFd epoll_;
  std::map<int, Watched> watched_;
  std::map<uint64_t, int> fd_of_token_;  // an event may be older than its descriptor
  uint64_t last_token_ = 0;
  bool stopped_ = false;
};

// A timer for the loop; CLOCK_MONOTONIC. Not thread-safe.
class Timer {
 public:
  static absl::StatusOr<std::unique_ptr<Timer>> Create(EventLoop* loop,
                                                       std::function<void()> on_expiry);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Expires once after `delay` (at once if it is not positive); replaces what was set.
  void Set(std::chrono::milliseconds delay);

 private:
  Timer(EventLoop* loop, UniqueFd fd) : loop_(loop), fd_(std::move(fd)) {}

  EventLoop* loop_;
  UniqueFd fd_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_LOOP_EVENT_LOOP_H_
