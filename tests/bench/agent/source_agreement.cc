// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/agent/source_agreement.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <thread>

#include "tests/agent/support/eventually.h"
#include "tests/agent/support/tiny_vm.h"
#include "tests/bench/agent/agent_under_test.h"

namespace lockhost::bench {
namespace {

using agent::Eventually;
using agent::TinyVm;
using std::chrono::steady_clock;

constexpr uint32_t kVcpus = 4;
constexpr std::chrono::microseconds kLookEvery{200};

uint32_t StateOf(const AgentUnderTest::Vm& vm, uint32_t vcpu) {
  const uint32_t state = lockhost_state_of(vm.table->ReadStateWord(vcpu));
  return state == LOCKHOST_RUN_STATE_HALTED ? uint32_t{LOCKHOST_RUN_STATE_EXITED} : state;
}

// One vCPU, looked at in both tables.
struct Compared {
  uint32_t truth = 0;
  steady_clock::time_point changed_at;
  bool pending = false;  // the other table has not followed the last change yet
};

void Look(const AgentUnderTest::Vm& by_bpf, const AgentUnderTest::Vm& by_other, uint32_t vcpu,
          Compared* seen, AgreementFigures* figures, std::array<uint64_t, 4>* counts) {
  const uint32_t truth = StateOf(by_bpf, vcpu);
  const uint32_t said = StateOf(by_other, vcpu);
  const auto now = steady_clock::now();
  if (truth != seen->truth) *seen = {truth, now, true};
  if (seen->pending && said == truth) {
    figures->delay_us.push_back(
        std::chrono::duration<double, std::micro>(now - seen->changed_at).count());
    seen->pending = false;
  }
  auto& [looks, same, false_running, false_preempted] = *counts;
  ++looks;
  same += said == truth ? 1 : 0;
  false_running += said == LOCKHOST_RUN_STATE_RUNNING && said != truth ? 1 : 0;
  false_preempted += said == LOCKHOST_RUN_STATE_PREEMPTED && said != truth ? 1 : 0;
}

}  // namespace

absl::StatusOr<AgreementFigures> MeasureAgreement(const std::string& source,
                                                  std::chrono::seconds length) {
  auto truth = AgentUnderTest::Start("bpf");
  if (!truth.ok()) return truth.status();
  auto other = AgentUnderTest::Start(source);
  if (!other.ok()) return other.status();
  auto vm = TinyVm::Create(static_cast<int>(kVcpus));
  if (!vm.ok()) return vm.status();
  (*vm)->RunAnywhere();
  for (uint32_t vcpu = 0; vcpu < kVcpus; ++vcpu) (*vm)->StartThread(static_cast<int>(vcpu));
  const AgentUnderTest::Vm* by_bpf = nullptr;
  const AgentUnderTest::Vm* by_other = nullptr;
  const bool found = Eventually([&] {
    by_bpf = (*truth)->FindVm(getpid());
    by_other = (*other)->FindVm(getpid());
    return by_bpf != nullptr && by_other != nullptr && StateOf(*by_bpf, kVcpus - 1) != 0 &&
           StateOf(*by_other, kVcpus - 1) != 0;
  });
  if (!found) return absl::InternalError("the VM was not found by both");
  if (absl::Status asked = (*other)->Demand(by_other->vm_id); !asked.ok()) return asked;
  AgreementFigures figures;
  figures.source = source;
  std::array<Compared, kVcpus> seen;
  std::array<uint64_t, 4> counts{};
  const uint64_t before_ns = RunNs((*other)->pid());
  const auto begin = steady_clock::now();
  while (steady_clock::now() - begin < length) {
    for (uint32_t vcpu = 0; vcpu < kVcpus; ++vcpu) {
      Look(*by_bpf, *by_other, vcpu, &seen[vcpu], &figures, &counts);
    }
    std::this_thread::sleep_for(kLookEvery);
  }
  const std::chrono::duration<double> passed = steady_clock::now() - begin;
  figures.cpu_percent =
      static_cast<double>(RunNs((*other)->pid()) - before_ns) / 1e7 / passed.count();
  const auto looks = static_cast<double>(counts[0]);
  figures.agreement = static_cast<double>(counts[1]) / looks;
  figures.false_running = static_cast<double>(counts[2]) / looks;
  figures.false_preempted = static_cast<double>(counts[3]) / looks;
  return figures;
}

}  // namespace lockhost::bench
