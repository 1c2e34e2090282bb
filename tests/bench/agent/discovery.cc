// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/agent/discovery.h"

#include <chrono>
#include <memory>
#include <string>

#include "tests/agent/support/eventually.h"
#include "tests/agent/support/vmm_process.h"
#include "tests/bench/agent/agent_under_test.h"

namespace lockhost::bench {
namespace {

using agent::Eventually;
using agent::VmmProcess;
using std::chrono::steady_clock;

double MsSince(steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count();
}

// Start() returns when the VMM says that its vCPU threads exist: what passed before, from
// the fork on, is the VMM's own time.
absl::Status MeasureOne(AgentUnderTest& agent, std::vector<double>* found,
                        std::vector<double>* gone) {
  auto vmm = VmmProcess::Start(1, VmmProcess::Guest::kHalts, std::chrono::milliseconds(1));
  if (!vmm.ok()) return vmm.status();
  const auto began = steady_clock::now();
  const pid_t pid = (*vmm)->pid();
  const bool seen = Eventually([&] {
    const AgentUnderTest::Vm* vm = agent.FindVm(pid);
    return vm != nullptr && vm->table->ReadStateWord(0) != 0;
  });
  if (!seen) return absl::InternalError("a VM was not found");
  found->push_back(MsSince(began));
  (*vmm)->Kill();
  const auto killed = steady_clock::now();
  if (!Eventually([&] { return agent.FindVm(pid) == nullptr; })) {
    return absl::InternalError("a VM that was killed is still there");
  }
  gone->push_back(MsSince(killed));
  return absl::OkStatus();
}

absl::Status MeasureSource(const std::string& source, int vms, std::vector<double>* found,
                           std::vector<double>* gone) {
  auto agent = AgentUnderTest::Start(source);
  if (!agent.ok()) return absl::OkStatus();
  for (int i = 0; i < vms; ++i) {
    if (absl::Status status = MeasureOne(**agent, found, gone); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DiscoveryFigures> MeasureDiscovery(int vms_by_bpf, int vms_by_procfs) {
  DiscoveryFigures figures;
  absl::Status status = MeasureSource("bpf", vms_by_bpf, &figures.bpf_ms, &figures.gone_ms);
  if (!status.ok()) return status;
  status = MeasureSource("procfs", vms_by_procfs, &figures.procfs_ms, &figures.gone_ms);
  if (!status.ok()) return status;
  return figures;
}

}  // namespace lockhost::bench
