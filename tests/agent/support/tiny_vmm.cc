// SPDX-License-Identifier: Apache-2.0

// A VMM in a process of its own, for tests and benchmarks of the agent:
//   tiny_vmm VCPUS spins|halts TICK_US kvm|any
// runs until it is killed. Says "ready" once every vCPU has a thread, or why not; with "any",
// "ready: threads" where there is no KVM. Each line that it reads is the socket of an agent, with
// which it registers its threads; it says "registered", or why not.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/unique_fd.h"
#include "tests/agent/support/register_threads.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {
namespace {

std::string Register(const TinyVm& vm, const std::string& socket) {
  const absl::Status registered = RegisterThreads(vm, socket);
  return registered.ok() ? "registered" : std::string(registered.message());
}

void Say(const std::string& text) {
  std::puts(text.c_str());
  std::fflush(stdout);
}

int Run(int vcpus, TinyVm::Guest guest, std::chrono::microseconds tick, bool may_be_threads) {
  auto vm = may_be_threads ? TinyVm::CreateAny(vcpus, guest) : TinyVm::Create(vcpus, guest);
  if (!vm.ok()) {
    Say(std::string(vm.status().message()));
    return 1;
  }
  (*vm)->RunAnywhere();
  (*vm)->TickEvery(tick);
  std::vector<UniqueFd> stats;  // as QEMU keeps them, from 8.1 on
  for (int vcpu = 0; vcpu < vcpus; ++vcpu) {
    (*vm)->StartThread(vcpu);
    if (!(*vm)->is_kvm()) continue;
    if (auto file = (*vm)->OpenStats(vcpu); file.ok()) stats.push_back(*std::move(file));
  }
  Say((*vm)->is_kvm() ? "ready" : "ready: threads");
  for (std::string socket; std::getline(std::cin, socket);) {
    Say(Register(**vm, socket));
  }
  for (;;) pause();
}

}  // namespace
}  // namespace lockhost::agent

int main(int argc, char** argv) {
  using lockhost::agent::TinyVm;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc != 5) return 2;
  const bool halts = std::string_view(argv[2]) == "halts";
  if (!halts) setpriority(PRIO_PROCESS, 0, 19);  // whoever has work to do comes first
  return lockhost::agent::Run(
      std::atoi(argv[1]), halts ? TinyVm::Guest::kHalts : TinyVm::Guest::kSpins,
      std::chrono::microseconds(std::atoi(argv[3])), std::string_view(argv[4]) == "any");
}
