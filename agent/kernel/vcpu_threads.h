// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_VCPU_THREADS_H_
#define LOCKHOST_AGENT_KERNEL_VCPU_THREADS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "agent/kernel/kvm_debugfs.h"
#include "agent/kernel/procfs.h"

namespace lockhost::agent {

// What told which thread runs which vCPU.
enum class VcpuEvidence : uint8_t { kNone, kThreadName, kDebugfs, kCgroup };
std::string_view VcpuEvidenceName(VcpuEvidence evidence);

struct VcpuThreads {
  VcpuEvidence evidence = VcpuEvidence::kNone;
  std::map<uint32_t, pid_t> tids;  // by vCPU id, each a thread of the process
  bool holds_vcpus = false;        // KVM vCPUs among its descriptors; not looked at if named
  // The process has several VMs, whose vCPUs bear the same ids. Where names do not tell
  // its threads, none is told.
  bool several_vms = false;
};

// The vCPU threads among these threads of a process, by their names alone.
std::map<uint32_t, pid_t> NamedVcpuThreads(const Procfs& procfs, pid_t pid,
                                           const std::vector<pid_t>& tids);

// Finds the vCPU threads of a process: by thread names; if it has none but holds KVM
// vCPUs, by debugfs (null: not to be had), then by libvirt's cgroups. The first thread
// of two that claim one vCPU keeps it. Not one thread of another process is returned,
// whatever debugfs says. Thread-safe.
VcpuThreads FindVcpuThreads(const Procfs& procfs, const KvmDebugfs* debugfs, pid_t pid);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_VCPU_THREADS_H_
