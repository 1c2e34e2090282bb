// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boost/company.h"

#include "tests/lab/demo/setting.h"
#include "tests/lab/harness/thread_usage.h"

namespace lockhost::bench {

absl::StatusOr<std::unique_ptr<Company>> Company::Keep(const Cell& cell,
                                                       const std::vector<pid_t>& vcpus) {
  std::unique_ptr<Company> company(new Company);
  const uint32_t count = NeighboursPerCpu(cell.overcommit) * lab::UsableCpus();
  std::vector<pid_t> threads;
  if (cell.neighbour == Neighbour::kVm) {
    absl::StatusOr<std::unique_ptr<NeighbourVm>> vm = NeighbourVm::Start(count);
    if (!vm.ok()) return vm.status();
    company->vm_ = *std::move(vm);
    threads = company->vm_->vcpu_tids();
  } else {
    absl::StatusOr<std::unique_ptr<lab::Neighbours>> hogs =
        lab::Neighbours::Start(cell.neighbour == Neighbour::kHogs ? count : 0);
    if (!hogs.ok()) return hogs.status();
    company->hogs_ = *std::move(hogs);
    threads = company->hogs_->pids();
  }
  if (absl::Status placed = lab::Pin(cell.pinning, vcpus, threads); !placed.ok()) return placed;
  return company;
}

Work Company::Done() const {
  if (vm_ != nullptr) return vm_->Done();
  return {.done = hogs_->Turns(), .at_ns = NowNs()};
}

absl::StatusOr<uint64_t> Company::CpuNs() const {
  if (vm_ != nullptr) return lab::ReadProcessCpuNs(vm_->pid());
  uint64_t sum = 0;
  for (const pid_t pid : hogs_->pids()) {
    const absl::StatusOr<uint64_t> cpu_ns = lab::ReadProcessCpuNs(pid);
    if (!cpu_ns.ok()) return cpu_ns.status();
    sum += *cpu_ns;
  }
  return sum;
}

}  // namespace lockhost::bench
