// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_CHANNEL_LISTENER_H_
#define LOCKHOST_AGENT_CHANNEL_LISTENER_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// A SOCK_SEQPACKET socket that listens at `path`, open to every local user (who may do
// what is decided per peer). Takes over the path of a dead agent; makes the last folder
// of the path if it is missing. ALREADY_EXISTS: a living agent listens there.
absl::StatusOr<UniqueFd> ListenAt(const std::string& path);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_CHANNEL_LISTENER_H_
