// SPDX-License-Identifier: Apache-2.0
#include "server/service/accept_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

namespace lockhost::server {

absl::Status AcceptLoop::Add(ConnectionSource* source) {
  const int fd = source->listener_fd();
  const std::lock_guard lock(mutex_);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    return absl::ErrnoToStatus(errno, "watch a listening socket");
  }
  sources_[fd] = {source};
  return absl::OkStatus();
}

void AcceptLoop::Remove(ConnectionSource* source) {
  const std::lock_guard lock(mutex_);
  if (sources_.erase(source->listener_fd()) == 0) return;
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, source->listener_fd(), nullptr);
}

void AcceptLoop::Accept(int fd, uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const auto found = sources_.find(fd);
  if (found == sources_.end()) return;
  const uint64_t until_ns = found->second.source->Accept(now_ns);
  if (until_ns > now_ns) {
    found->second.paused_until_ns = until_ns;
    Wait(fd, false);
  }
}

uint64_t AcceptLoop::Resume(uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  uint64_t next_ns = UINT64_MAX;
  for (auto& [fd, entry] : sources_) {
    if (entry.paused_until_ns == 0) continue;
    if (entry.paused_until_ns > now_ns) {
      next_ns = std::min(next_ns, entry.paused_until_ns);
      continue;
    }
    entry.paused_until_ns = 0;
    Wait(fd, true);
  }
  return next_ns;
}

void AcceptLoop::Wait(int fd, bool wait) {
  epoll_event event{};
  event.events = wait ? uint32_t{EPOLLIN} : 0;
  event.data.fd = fd;
  epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
}

}  // namespace lockhost::server
