// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DAEMON_KVM_STATS_COLLECTOR_H_
#define LOCKHOST_AGENT_DAEMON_KVM_STATS_COLLECTOR_H_

#include <cstdint>
#include <map>
#include <memory>

#include "agent/kvm_stats/kvm_stats_reader.h"
#include "agent/registry/vm_registry.h"

namespace lockhost::agent {

// What KVM itself counts, for the VMs that are followed: looked for when a VM's vCPUs are
// first seen and when there are more of them, and, for as long as vCPUs are without it, again
// after one second, after two more, four, and so on to once in about a minute: a VMM may open the
// files after its vCPUs run. Read every ten seconds. Not thread-safe.
class KvmStatsCollector {
 public:
  // `procfs` outlives the collector.
  explicit KvmStatsCollector(const Procfs* procfs) : procfs_(procfs) {}

  void Collect(uint64_t now_ns, VmRegistry& registry);
  // Must be called when a VM ends: what is held of it keeps it alive inside the kernel.
  void Forget(uint64_t vm_id) { vms_.erase(vm_id); }

  // As of the last reading; all nullopt where there is none. Sums over the vCPUs.
  KvmStatValues Of(uint64_t vm_id) const;
  const KvmStatsCounts& counts() const { return counts_; }

 private:
  struct Followed {
    std::unique_ptr<KvmStatsReader> reader;  // null: none to be had
    uint32_t looked_for_vcpus = 0;
    uint64_t look_again_at_ns = 0;
    uint64_t look_again_after_ns = 0;
    uint64_t read_at_ns = 0;
    KvmStatValues sums;
  };
  static bool IsToLook(uint64_t now_ns, const Vm& vm, const Followed& followed);
  void Look(uint64_t now_ns, const Vm& vm, Followed* followed);

  const Procfs* procfs_;
  std::map<uint64_t, Followed> vms_;
  KvmStatsCounts counts_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_DAEMON_KVM_STATS_COLLECTOR_H_
