// SPDX-License-Identifier: Apache-2.0
#include "agent/channel/peer.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

namespace lockhost::agent {

absl::Status Peer::Send(std::span<const std::byte> bytes, std::span<const int> fds) {
  if (queue_.empty()) {
    const auto sent = SendPacket(fd(), bytes, fds);
    if (!sent.ok()) return sent.status();
    if (*sent) return absl::OkStatus();
  }
  if (queue_.size() >= kMaxQueued) return absl::ResourceExhaustedError("the peer does not read");
  Queued queued{{bytes.begin(), bytes.end()}, {}};
  for (const int fd : fds) {
    queued.fds.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!queued.fds.back().valid()) return absl::ErrnoToStatus(errno, "keep a descriptor");
  }
  queue_.push_back(std::move(queued));
  return absl::OkStatus();
}

absl::Status Peer::Flush() {
  while (!queue_.empty()) {
    const Queued& next = queue_.front();
    std::vector<int> fds;
    for (const UniqueFd& each : next.fds) fds.push_back(each.get());
    const auto sent = SendPacket(fd(), next.bytes, fds);
    if (!sent.ok()) return sent.status();
    if (!*sent) break;
    queue_.pop_front();
  }
  return absl::OkStatus();
}

}  // namespace lockhost::agent
