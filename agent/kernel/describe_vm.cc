// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/describe_vm.h"

#include "agent/kernel/cgroup_parse.h"

namespace lockhost::agent {
namespace {

FactOrigin IfKnown(bool known, FactOrigin origin) { return known ? origin : FactOrigin::kNone; }

void AddAccelerator(const Procfs& procfs, pid_t pid, VmDescription& vm) {
  if (procfs.HoldsVcpus(pid)) {
    vm.facts.accelerator = Accelerator::kKvm;
    vm.accelerator = FactOrigin::kDescriptor;
    return;
  }
  for (const pid_t tid : procfs.Threads(pid)) {
    const Accelerator shown = AcceleratorOfThreadName(procfs.ThreadName(pid, tid));
    if (shown == Accelerator::kUnknown) continue;
    vm.facts.accelerator = shown;
    vm.accelerator = FactOrigin::kThreadName;
    return;
  }
}

void AddLibvirtName(const Procfs& procfs, pid_t pid, VmDescription& vm) {
  const auto cgroup = ParseLibvirtCgroup(procfs.ThreadCgroup(pid, pid));
  if (!cgroup) return;
  vm.facts.name = cgroup->name;
  vm.name = FactOrigin::kCgroup;
}

}  // namespace

std::string_view FactOriginName(FactOrigin origin) {
  switch (origin) {
    case FactOrigin::kNone:
      break;
    case FactOrigin::kThreadName:
      return "thread-name";
    case FactOrigin::kCommandLine:
      return "cmdline";
    case FactOrigin::kCgroup:
      return "cgroup";
    case FactOrigin::kDescriptor:
      return "fd";
  }
  return "none";
}

VmDescription DescribeVm(const Procfs& procfs, pid_t pid) {
  VmDescription vm;
  vm.facts = procfs.Describe(pid);
  const bool by_name = !DescribeVmm(procfs.ThreadName(pid, pid), {}).vmm.empty();
  vm.vmm =
      IfKnown(!vm.facts.vmm.empty(), by_name ? FactOrigin::kThreadName : FactOrigin::kCommandLine);
  constexpr FactOrigin kArguments = FactOrigin::kCommandLine;
  vm.name = IfKnown(!vm.facts.name.empty(), kArguments);
  vm.uuid = IfKnown(!vm.facts.uuid.empty(), kArguments);
  vm.vsock_cid = IfKnown(vm.facts.vsock_cid != 0, kArguments);
  vm.memory = IfKnown(vm.facts.memory_bytes != 0, kArguments);
  vm.accelerator = IfKnown(vm.facts.accelerator != Accelerator::kUnknown, kArguments);
  if (vm.facts.name.empty()) AddLibvirtName(procfs, pid, vm);
  AddAccelerator(procfs, pid, vm);
  return vm;
}

}  // namespace lockhost::agent
