// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_THREADS_PEER_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_THREADS_PEER_H_

#include <sys/types.h>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::guest_agent {

// Who has connected, as the kernel says.
struct Peer {
  pid_t pid = 0;  // as this process sees it
  uid_t uid = 0;
  UniqueFd pidfd;  // readable once the process has ended
};

// Whoever made the connection. NOT_FOUND: it has ended, it has no pid here, or (kernels before
// 6.5, which do not give the process itself) its pid is another user's by now.
absl::StatusOr<Peer> PeerOf(int connection);

bool HasEnded(const Peer& peer);

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_THREADS_PEER_H_
