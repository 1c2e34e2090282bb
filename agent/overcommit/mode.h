// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_OVERCOMMIT_MODE_H_
#define LOCKHOST_AGENT_OVERCOMMIT_MODE_H_

#include <cstdint>

#include "agent/table/host_page.h"
#include "client/page/hint_page.h"

namespace lockhost::agent {

// What speaks for one mode or the other.
struct ModeEvidence {
  uint32_t live_vcpus = 0;  // of the whole host
  uint32_t online_cpus = 0;
  LoadFigures load;      // of the VM
  bool settled = false;  // the load is known for the whole of the long window
};

// Above this much of its time without a CPU, over a second, a VM is overcommitted at once;
// below that, over ten seconds, it may be called dedicated. Far apart, so that a VM
// between the two keeps the mode it has and its locks are not switched to and fro.
inline constexpr double kOvercommittedAbove = 0.01;
inline constexpr double kDedicatedBelow = 0.001;

// The lock mode that the host advises a VM. Pure. A host with more vCPUs than CPUs is
// overcommitted though all is quiet: any vCPU may wake up and take another one's CPU.
inline lockhost_mode AdvisedMode(lockhost_mode now, const ModeEvidence& evidence) {
  if (evidence.live_vcpus > evidence.online_cpus ||
      evidence.load.steal_ratio[LoadFigures::kShort] > kOvercommittedAbove) {
    return LOCKHOST_MODE_OVERCOMMITTED;
  }
  if (evidence.settled && evidence.load.steal_ratio[LoadFigures::kLong] < kDedicatedBelow) {
    return LOCKHOST_MODE_DEDICATED;
  }
  return now;
}

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_OVERCOMMIT_MODE_H_
