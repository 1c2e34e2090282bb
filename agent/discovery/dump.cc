// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/dump.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/kernel/describe_vm.h"
#include "agent/kernel/kvm_debugfs.h"
#include "agent/kernel/procfs.h"
#include "agent/kernel/vcpu_threads.h"

namespace lockhost::agent {
namespace {

void AddFact(std::string_view name, std::string_view value, FactOrigin origin, std::string& text) {
  if (origin == FactOrigin::kNone) {
    absl::StrAppendFormat(&text, "  %-12s unknown\n", name);
  } else {
    absl::StrAppendFormat(&text, "  %-12s %s (%s)\n", name, value, FactOriginName(origin));
  }
}

void AddFacts(const VmDescription& vm, std::string& text) {
  AddFact("vmm", vm.facts.vmm, vm.vmm, text);
  AddFact("name", vm.facts.name, vm.name, text);
  AddFact("uuid", vm.facts.uuid, vm.uuid, text);
  AddFact("vsock-cid", absl::StrCat(vm.facts.vsock_cid), vm.vsock_cid, text);
  AddFact("memory-bytes", absl::StrCat(vm.facts.memory_bytes), vm.memory, text);
  AddFact("accelerator", AcceleratorName(vm.facts.accelerator), vm.accelerator, text);
}

void AddVcpus(const VcpuThreads& threads, size_t vms, std::string& text) {
  if (vms > 1) absl::StrAppendFormat(&text, "  %-12s %d, not told apart (debugfs)\n", "vms", vms);
  for (const auto& [vcpu_id, tid] : threads.tids) {
    absl::StrAppendFormat(&text, "  %-12s tid %d (%s)\n", absl::StrCat("vcpu ", vcpu_id), tid,
                          VcpuEvidenceName(threads.evidence));
  }
  if (threads.tids.empty()) {
    absl::StrAppendFormat(&text, "  %-12s unknown: nothing tells their threads (fd)\n", "vcpus");
  }
}

// What is missing of the host, rather than of one VM.
void AddNotes(const Procfs& procfs, const absl::Status& debugfs, std::string& text) {
  if (!procfs.Stat(1)) {
    absl::StrAppend(&text,
                    "note: process 1 is not to be seen (hidepid?): other users' VMs are hidden\n");
  }
  if (!debugfs.ok()) {
    absl::StrAppend(&text, "note: KVM's debugfs is not to be read: ",
                    absl::StatusCodeToString(debugfs.code()), "\n");
  } else if (!procfs.ShowsInitialPidNamespace()) {
    absl::StrAppend(&text, "note: KVM's debugfs is of no use: it speaks of the host's pids\n");
  }
}

}  // namespace

absl::StatusOr<std::string> DumpVms(const std::string& procfs_root, const std::string& sysfs_root) {
  const auto procfs = Procfs::Open(procfs_root);
  if (!procfs.ok()) return procfs.status();
  const auto debugfs = KvmDebugfs::Open(sysfs_root);
  const bool same_pids = debugfs.ok() && procfs->ShowsInitialPidNamespace();
  const auto vm_counts = same_pids ? debugfs->VmCounts() : std::map<pid_t, size_t>();
  std::vector<pid_t> pids = procfs->Processes();
  std::sort(pids.begin(), pids.end());
  std::string text;
  for (const pid_t pid : pids) {
    const VcpuThreads threads = FindVcpuThreads(*procfs, debugfs.ok() ? &*debugfs : nullptr, pid);
    const auto stat = procfs->Stat(pid);
    if (!stat || (threads.tids.empty() && !threads.holds_vcpus)) continue;
    absl::StrAppendFormat(&text, "VM of pid %d, started at %d ticks\n", pid, stat->start_ticks);
    AddFacts(DescribeVm(*procfs, pid), text);
    const auto vms = vm_counts.find(pid);
    AddVcpus(threads, vms == vm_counts.end() ? 0 : vms->second, text);
  }
  if (text.empty()) text = "no VM\n";
  AddNotes(*procfs, debugfs.status(), text);
  return text;
}

}  // namespace lockhost::agent
