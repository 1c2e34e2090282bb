// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_HARNESS_AGENT_LINK_H_
#define LOCKHOST_TESTS_LAB_HARNESS_AGENT_LINK_H_

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/channel/agent_client.h"
#include "tests/lab/harness/pages.h"
#include "tests/lab/harness/runner.h"

namespace lockhost::lab {

// Where the agent's run states come from.
struct SourceFacts {
  std::string name;    // "bpf", "perf", "procfs"
  std::string reason;  // why not a better one; empty for the best
};
// Asks the agent at `socket_path`, as lockhostd does. PERMISSION_DENIED and the like:
// this user may not.
absl::StatusOr<SourceFacts> AskSource(const std::string& socket_path);

// The VMM's own conversation with lockhost-agent: gets the VM's vCPU table, says where
// the report page of the next run is mapped. The agent forgets the report page when the link goes.
// Not thread-safe. Movable.
class AgentLink {
 public:
  // Waits until an agent listens at `socket_path`.
  static absl::StatusOr<AgentLink> Connect(const std::string& socket_path,
                                           std::chrono::milliseconds timeout);

  // Lets the agent find the machine, and shows its table to the guest. `registered`: by
  // telling the agent which threads are vCPUs; otherwise it finds them by itself, which
  // only BPF does, and only KVM's. DEADLINE_EXCEEDED: the agent did not see all vCPUs in
  // time. REQUIRES: all vCPUs are parked.
  absl::Status AttachTable(Machine& machine, Runner& runner, Pages& pages, bool registered);

  // Says which report page the guest uses from now on. A source that cannot read guest
  // memory says so; that is no failure.
  absl::Status ShareReports(const SharedMemory& reports, uint32_t slots);
  // From now on the agent reads none.
  absl::Status WithdrawReports();

  // Lets the host boost this VM's preempted lock holders, or not. FAILED_PRECONDITION: it
  // cannot, and why.
  absl::Status SetBoost(bool enabled);

  // What the agent knows of this VM; valid after AttachTable().
  const agent::VmMessage& vm() const { return vm_; }

 private:
  explicit AgentLink(agent::AgentClient client) : client_(std::move(client)) {}
  absl::Status AwaitVm(Runner& runner);
  absl::Status Drain();
  absl::Status SetReportRegion(uint64_t address, uint32_t slots);
  // The answer to a request: OK, or FAILED_PRECONDITION with the agent's refusal.
  absl::Status AwaitAnswer();

  agent::AgentClient client_;
  agent::VmMessage vm_ = {};
  UniqueFd table_;
  std::string refusal_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_AGENT_LINK_H_
