// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_OVERCOMMIT_OVERCOMMIT_H_
#define LOCKHOST_AGENT_OVERCOMMIT_OVERCOMMIT_H_

#include <cstdint>
#include <map>
#include <span>

#include "agent/overcommit/load_meter.h"
#include "agent/overcommit/mode.h"

namespace lockhost::agent {

// Totals of one VM's vCPUs since it has been followed.
struct VmLoad {
  uint64_t vm_id = 0;
  uint32_t live_vcpus = 0;
  uint32_t runnable_now = 0;  // of these, RUNNING or PREEMPTED
  uint64_t run_ns = 0;
  uint64_t steal_ns = 0;
};

// What the host has beside its VMs.
struct HostLoad {
  uint32_t online_cpus = 0;
  uint32_t runnable_threads = 0;  // now, vCPUs and others
};

// Overcommit of the host and of each VM, and the mode that follows. To be told about once a
// second. Pure; not thread-safe.
class Overcommit {
 public:
  // `vms` are all there are: those that are no longer named are forgotten.
  void Observe(uint64_t now_ns, const HostLoad& host, std::span<const VmLoad> vms);

  struct Vm {
    LoadFigures load;
    lockhost_mode mode = LOCKHOST_MODE_UNSPECIFIED;
  };
  // Zeros for a VM that was not named.
  Vm Of(uint64_t vm_id) const;
  // All but `counters` and `vms`.
  const HostFigures& host() const { return host_; }

 private:
  struct Followed {
    LoadMeter meter;
    lockhost_mode mode = LOCKHOST_MODE_UNSPECIFIED;
    uint64_t run_ns = 0;
    uint64_t steal_ns = 0;
    uint64_t observed_at_ns = 0;
  };

  void ObserveVm(uint64_t now_ns, const VmLoad& load);
  void ObserveHost(uint64_t now_ns, const HostLoad& host, uint32_t runnable_vcpus);

  std::map<uint64_t, Followed> vms_;
  HostFigures host_;
  LoadMeter all_;
  LoadMeter others_;     // "run time" of threads that are no vCPU, estimated
  uint64_t run_ns_ = 0;  // of all VMs, also of those that have gone
  uint64_t steal_ns_ = 0;
  uint64_t others_ns_ = 0;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_OVERCOMMIT_OVERCOMMIT_H_
