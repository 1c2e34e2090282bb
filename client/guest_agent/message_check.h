// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_MESSAGE_CHECK_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_MESSAGE_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "lockhost/v1/hints.pb.h"

namespace lockhost::guest_agent {

// A lease above this is a mistake of the host: it would keep a dead host's hints alive.
inline constexpr uint64_t kMaxLeaseNs = 60'000'000'000;
inline constexpr uint32_t kMaxSampledEveryNs = 1'000'000'000;

// Whether a message of the host keeps to the protocol. `known_slots` is the slot count
// of the last snapshot, 0 when none has come yet: until then only a snapshot may come.
// INVALID_ARGUMENT names the field. A kind of message from a newer host (none of the
// known ones is set) passes. Pure.
absl::Status CheckHostMessage(const v1::WatchHintsResponse& message, uint32_t known_slots);

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_MESSAGE_CHECK_H_
