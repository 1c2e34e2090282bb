// SPDX-License-Identifier: Apache-2.0

// A VMM in a process of its own, for tests and benchmarks of the agent:
//   tiny_vmm VCPUS spins|halts TICK_US
// runs until it is killed. Says "ready" once every vCPU has a thread, or why not.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/agent/support/tiny_vm.h"

int main(int argc, char** argv) {
  using lockhost::agent::TinyVm;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc != 4) return 2;
  const int vcpus = std::atoi(argv[1]);
  const bool halts = std::string_view(argv[2]) == "halts";
  if (!halts) setpriority(PRIO_PROCESS, 0, 19);  // whoever has work to do comes first
  auto vm = TinyVm::Create(vcpus, halts ? TinyVm::Guest::kHalts : TinyVm::Guest::kSpins);
  if (!vm.ok()) {
    std::puts(std::string(vm.status().message()).c_str());
    return 1;
  }
  (*vm)->RunAnywhere();
  (*vm)->TickEvery(std::chrono::microseconds(std::atoi(argv[3])));
  std::vector<lockhost::UniqueFd> stats;  // as QEMU keeps them, from 8.1 on
  for (int vcpu = 0; vcpu < vcpus; ++vcpu) {
    if (auto file = (*vm)->OpenStats(vcpu); file.ok()) stats.push_back(*std::move(file));
    (*vm)->StartThread(vcpu);
  }
  std::puts("ready");
  std::fflush(stdout);
  for (;;) pause();
}
