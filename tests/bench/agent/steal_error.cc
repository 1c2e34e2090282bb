// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/agent/steal_error.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <thread>

#include "tests/agent/support/eventually.h"
#include "tests/agent/support/tiny_vm.h"
#include "tests/bench/agent/agent_under_test.h"

namespace lockhost::bench {

using agent::Eventually;
using agent::TinyVm;

absl::StatusOr<double> MeasureStealError(std::chrono::milliseconds length) {
  auto agent = AgentUnderTest::Start("bpf");
  if (!agent.ok()) return agent.status();
  auto vm = TinyVm::Create(2);
  if (!vm.ok()) return vm.status();
  for (const int vcpu : {0, 1}) {
    if (absl::Status kept = (*vm)->KeepStealRecord(vcpu); !kept.ok()) return kept;
  }
  for (const int vcpu : {0, 1}) (*vm)->StartThread(vcpu);
  const AgentUnderTest::Vm* seen = nullptr;
  if (!Eventually([&] { return (seen = (*agent)->FindVm(getpid())) != nullptr; })) {
    return absl::InternalError("the agent has not found the VM");
  }
  std::this_thread::sleep_for(length);
  double worst = 0;
  for (const uint32_t vcpu : {0u, 1u}) {
    (*vm)->Park(static_cast<int>(vcpu));
    Eventually([&] { return seen->table->Read(vcpu).run_state() == LOCKHOST_RUN_STATE_EXITED; });
    const auto guest = static_cast<double>((*vm)->GuestStealNs(static_cast<int>(vcpu)));
    const auto host = static_cast<double>(seen->table->Read(vcpu).steal_ns);
    if (guest <= 0) return absl::UnavailableError("this KVM keeps no steal records");
    worst = std::max(worst, std::abs(host - guest) / guest);
  }
  return worst;
}

}  // namespace lockhost::bench
