// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/vcpu_threads.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "agent/kernel/cgroup_parse.h"

namespace lockhost::agent {
namespace {

// Sorted, so that the thread that keeps a claimed id is the older one on most days.
std::vector<pid_t> SortedThreads(const Procfs& procfs, pid_t pid) {
  std::vector<pid_t> tids = procfs.Threads(pid);
  std::sort(tids.begin(), tids.end());
  return tids;
}

void FindInDebugfs(const KvmDebugfs& debugfs, pid_t pid, const std::vector<pid_t>& own,
                   VcpuThreads& found) {
  const auto vms = debugfs.Vms(pid);
  found.several_vms = vms.size() > 1;
  if (vms.size() != 1) return;
  std::set<pid_t> taken;  // a thread that ran two vCPUs in turn is neither's
  for (const auto& [id, tid] : vms[0]) {
    if (!std::binary_search(own.begin(), own.end(), tid)) continue;
    if (!taken.insert(tid).second) {
      found.tids.clear();
      return;
    }
    found.tids.emplace(id, tid);
  }
}

}  // namespace

std::string_view VcpuEvidenceName(VcpuEvidence evidence) {
  switch (evidence) {
    case VcpuEvidence::kNone:
      break;
    case VcpuEvidence::kThreadName:
      return "thread-name";
    case VcpuEvidence::kDebugfs:
      return "debugfs";
    case VcpuEvidence::kCgroup:
      return "cgroup";
  }
  return "none";
}

std::map<uint32_t, pid_t> NamedVcpuThreads(const Procfs& procfs, pid_t pid,
                                           const std::vector<pid_t>& tids) {
  std::map<uint32_t, pid_t> named;
  for (const pid_t tid : tids) {
    if (const auto id = ParseVcpuThreadName(procfs.ThreadName(pid, tid))) named.emplace(*id, tid);
  }
  return named;
}

VcpuThreads FindVcpuThreads(const Procfs& procfs, const KvmDebugfs* debugfs, pid_t pid) {
  VcpuThreads found;
  const std::vector<pid_t> own = SortedThreads(procfs, pid);
  found.tids = NamedVcpuThreads(procfs, pid, own);
  if (!found.tids.empty()) {
    found.evidence = VcpuEvidence::kThreadName;
    return found;
  }
  found.holds_vcpus = procfs.HoldsVcpus(pid);
  if (!found.holds_vcpus) return found;
  if (debugfs != nullptr && procfs.ShowsInitialPidNamespace()) {
    FindInDebugfs(*debugfs, pid, own, found);
    if (!found.tids.empty()) found.evidence = VcpuEvidence::kDebugfs;
  }
  if (!found.tids.empty() || found.several_vms) return found;
  for (const pid_t tid : own) {
    const auto cgroup = ParseLibvirtCgroup(procfs.ThreadCgroup(pid, tid));
    if (cgroup && cgroup->vcpu_id) found.tids.emplace(*cgroup->vcpu_id, tid);
  }
  if (!found.tids.empty()) found.evidence = VcpuEvidence::kCgroup;
  return found;
}

}  // namespace lockhost::agent
