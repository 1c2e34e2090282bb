// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_REPAYMENT_H_
#define LOCKHOST_AGENT_BOOST_REPAYMENT_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "agent/boost/thread_control.h"
#include "agent/kernel/proc_parse.h"
#include "agent/kernel/procfs.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// How much boosted time a thread made up for while it ran with `weight_ratio` of its
// ordinary weight: it ran for run_ns and wanted a CPU for wanted_ns. A boosted thread has
// gained what its neighbours would have had of that time: with the share s that is its due,
// 1 - s. Where nobody else wants the CPU nothing was taken from anybody, and the time it
// runs counts in full. Pure.
double MadeUpNs(double run_ns, double wanted_ns, double weight_ratio);

// What is still owed of owed_ns after it was held back for a while, in which it ran and waited
// so long. A look comes late, so more may have been made up for: negative, which counts against
// the next debt. But nobody has paid by more than by waiting. Pure.
double OwedAfterNs(double owed_ns, double run_ns, double waited_ns, double weight_ratio);

// Collects from boosted threads what they had beyond their share, by holding them back for
// a while: the time of a boost is not counted by the kernel's fair scheduler. Done in the
// background, milliseconds later; what is owed is measured, not assumed.
//
// The weight of a thread matters among the threads of its cgroup: of a VM that has its cgroup
// to itself nothing is collected that way (kernel/cpu_cgroup.h), and it is not charged.
// Not thread-safe.
class Repayment {
 public:
  // Both must outlive it.
  Repayment(ThreadControl* control, const Procfs* procfs) : control_(*control), procfs_(*procfs) {}

  void Charge(uint32_t vm_index, pid_t tgid, pid_t tid, uint64_t used_ns, uint64_t now_ns);
  // Goes on collecting; returns when to look again, UINT64_MAX: nothing is owed.
  uint64_t Look(uint64_t now_ns);
  // The VM's threads are restored, and its debts forgotten.
  void Forget(uint32_t vm_index);

  uint64_t OwedNs(uint32_t vm_index) const;
  // Indices of VMs whose debts are not what they were at the last call.
  std::set<uint32_t> TakeChanged() { return std::exchange(changed_, {}); }

 private:
  struct Debtor {
    uint32_t vm_index;
    pid_t tgid;
    double owed_ns = 0;  // negative: it has paid more than that
    UniqueFd schedstat = {};
    std::optional<ProcSchedstat> before = std::nullopt;  // set while it is held back
  };
  bool IsLost(pid_t tid, Debtor& debtor);
  bool Begin(pid_t tid, Debtor& debtor);

  ThreadControl& control_;
  const Procfs& procfs_;
  std::map<pid_t, Debtor> debtors_;
  std::set<uint32_t> changed_;
  uint64_t look_at_ns_ = UINT64_MAX;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_REPAYMENT_H_
