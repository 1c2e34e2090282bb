// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_CHANNEL_REQUEST_CHECK_H_
#define LOCKHOST_AGENT_CHANNEL_REQUEST_CHECK_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/channel/packet.h"
#include "agent/channel/protocol.h"

// Pure checks of what a peer sends to the agent. Thread-safe.
namespace lockhost::agent {

// Type of a request whose version, size and (absent) descriptors are right.
// INVALID_ARGUMENT closes the connection.
absl::StatusOr<MessageType> CheckRequest(const Packet& packet);

// Fields in range; an error's text goes to the peer. The whole page must lie in user
// addresses and be aligned for its 64-bit words.
absl::Status CheckReportRegion(const ReportRegionMessage& message);
// At least one thread; none twice.
absl::Status CheckRegisterVcpus(const RegisterVcpusMessage& message);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_CHANNEL_REQUEST_CHECK_H_
