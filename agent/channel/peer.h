// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_CHANNEL_PEER_H_
#define LOCKHOST_AGENT_CHANNEL_PEER_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/channel/packet.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// Who is at the other end, as the kernel says (SO_PEERCRED) at connect time.
struct PeerIdentity {
  pid_t pid = 0;
  uid_t uid = 0;
  uint64_t start_ticks = 0;  // of that process, against reuse of its pid
};

// The server's side of one connection: never blocks, never grows without bound. A peer
// that does not read is the caller's to drop. Not thread-safe.
class Peer {
 public:
  // Enough for what a subscriber hears at once (every VM, twice), and no more.
  static constexpr size_t kMaxQueued = 2 * kMaxVms + 16;

  Peer(UniqueFd socket, const PeerIdentity& identity)
      : socket_(std::move(socket)), identity_(identity) {}

  int fd() const { return socket_.get(); }
  const PeerIdentity& identity() const { return identity_; }

  // Sends, or queues behind what the socket could not take yet. The descriptors stay the
  // caller's. RESOURCE_EXHAUSTED: the peer has not read for too long.
  absl::Status Send(std::span<const std::byte> bytes, std::span<const int> fds);
  // Sends of the queue what the socket takes now.
  absl::Status Flush();
  bool has_queued() const { return !queue_.empty(); }

  bool subscribed = false;
  bool awaits_table = false;

 private:
  struct Queued {
    std::vector<std::byte> bytes;
    std::vector<UniqueFd> fds;  // copies: a VM may go while its message waits
  };

  UniqueFd socket_;
  PeerIdentity identity_;
  std::deque<Queued> queue_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_CHANNEL_PEER_H_
