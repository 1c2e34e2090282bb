// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_CHANNEL_AGENT_CLIENT_H_
#define LOCKHOST_AGENT_CHANNEL_AGENT_CLIENT_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/channel/packet.h"
#include "agent/channel/protocol.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// What the agent says. Descriptors belong to whoever takes the event.
struct SourceEvent {
  SourceMessage message;
  UniqueFd hint_ring;       // BPF ring buffer of HintEvent; invalid unless the source is BPF
  UniqueFd interest;        // kMaxVms InterestEntry, to be mapped shared and writable; BPF array
                            // map, or a memfd sealed against resizing
  UniqueFd stats;           // for StatsReader::Attach; invalid where the source keeps none
  UniqueFd host_page;       // for HostPageReader::Attach
  UniqueFd boost_log;       // for BoostLogReader::Attach; invalid where nothing is boosted
  UniqueFd boost_requests;  // for SendBoostRequest(); as boost_log
};
struct VmEvent {
  VmMessage message;
  UniqueFd table;  // for TableReader::Attach
};
struct VmGoneEvent {
  VmGoneMessage message;
};
struct SyncedEvent {};
struct AckEvent {};
struct ErrorEvent {
  std::string text;
};
using AgentEvent =
    std::variant<SourceEvent, VmEvent, VmGoneEvent, SyncedEvent, AckEvent, ErrorEvent>;

// Asks the booster, over SourceEvent.boost_requests, for a boost of a vCPU that was preempted
// at that revision. Not answered: what became of it the host page counts. RESOURCE_EXHAUSTED:
// too many requests wait already; UNAVAILABLE: nothing is boosted any more. Thread-safe.
absl::Status SendBoostRequest(int socket, uint64_t vm_id, uint32_t vm_index, uint32_t vcpu_id,
                              uint64_t revision);

// The client's end of the agent's channel: lockhostd subscribes with it, a VMM asks
// for its own table. Requests are sent at once; answers arrive as events, in order,
// through Receive() or Await(). After any error but DEADLINE_EXCEEDED the connection is
// of no more use: make a new one.
//
// Not thread-safe. Movable.
class AgentClient {
 public:
  // UNAVAILABLE or NOT_FOUND when nobody listens at `path`.
  static absl::StatusOr<AgentClient> Connect(const std::string& path);
  // Over a connected SOCK_SEQPACKET socket.
  explicit AgentClient(UniqueFd socket) : socket_(std::move(socket)) {}

  // Readable when Receive() has something to say.
  int fd() const { return socket_.get(); }

  // -> SourceEvent, VmEvent for each VM, SyncedEvent; afterwards changes.
  absl::Status Subscribe();
  // -> VmEvent for each VM of this process, as soon as there is one.
  absl::Status RequestOwnTable();
  // -> AckEvent or ErrorEvent. `address`: of the report page in this process.
  absl::Status SetReportRegion(uint64_t vm_id, uint64_t address, uint32_t slot_count);
  // -> VmEvent or ErrorEvent. Index = vCPU id, 0 = that vCPU does not exist.
  absl::Status RegisterVcpus(std::span<const pid_t> tids);

  // -> AckEvent or ErrorEvent. vm_id 0: every VM, also those to come.
  absl::Status SetBoost(uint64_t vm_id, bool enabled);

  // Next event, nullopt when there is none now. Errors: UNAVAILABLE the agent has gone;
  // INVALID_ARGUMENT it sent what this version does not understand.
  absl::StatusOr<std::optional<AgentEvent>> Receive();
  // The same, waiting for it; DEADLINE_EXCEEDED when none came in time.
  absl::StatusOr<AgentEvent> Await(std::chrono::milliseconds timeout);

 private:
  template <typename T>
  absl::Status Send(const T& message);

  UniqueFd socket_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_CHANNEL_AGENT_CLIENT_H_
