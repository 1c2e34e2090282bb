// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_DESCRIBE_VM_H_
#define LOCKHOST_AGENT_KERNEL_DESCRIBE_VM_H_

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "agent/kernel/procfs.h"
#include "agent/kernel/vmm.h"

namespace lockhost::agent {

// Where a fact about a VM was read.
enum class FactOrigin : uint8_t {
  kNone,         // the fact is not known
  kThreadName,   // the name of a thread; for the kind of VMM, of the main thread
  kCommandLine,  // the arguments that the VMM was started with
  kCgroup,       // the control group that libvirt made
  kDescriptor,   // an open file of the process: KVM's own word
};
std::string_view FactOriginName(FactOrigin origin);

// What is known of a VM, and of each fact where it was read.
struct VmDescription {
  VmmFacts facts;
  FactOrigin vmm = FactOrigin::kNone;
  FactOrigin name = FactOrigin::kNone;
  FactOrigin uuid = FactOrigin::kNone;
  FactOrigin vsock_cid = FactOrigin::kNone;
  FactOrigin accelerator = FactOrigin::kNone;
  FactOrigin memory = FactOrigin::kNone;
};

// Joins what a process's name, arguments, descriptors, threads and control group tell of
// the VM that it runs. For the name, the command line goes before the control group, in
// which libvirt cuts it; for the accelerator, descriptors go before names and arguments,
// which are claims. A process that has gone is described as unknown. Thread-safe.
VmDescription DescribeVm(const Procfs& procfs, pid_t pid);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_DESCRIBE_VM_H_
