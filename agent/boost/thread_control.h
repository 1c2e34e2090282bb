// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_THREAD_CONTROL_H_
#define LOCKHOST_AGENT_BOOST_THREAD_CONTROL_H_

#include <sys/types.h>

#include <cstdint>
#include <map>

#include "absl/status/status.h"
#include "agent/boost/ledger.h"
#include "agent/boost/mechanism.h"
#include "agent/kernel/procfs.h"

namespace lockhost::agent {

// Changes how threads are scheduled, and gives each back exactly what it had, with every
// change in the ledger first. A thread may be boosted, held back, or both, where the boost
// wins while it lasts. Not thread-safe.
class ThreadControl {
 public:
  // All must outlive it.
  ThreadControl(BoostMechanism mechanism, Ledger* ledger, const Procfs* procfs);
  // Restores every thread.
  ~ThreadControl();
  ThreadControl(const ThreadControl&) = delete;
  ThreadControl& operator=(const ThreadControl&) = delete;

  // NOT_FOUND: no such thread. FAILED_PRECONDITION: it is no ordinary thread.
  // RESOURCE_EXHAUSTED: the ledger is full. Else what the kernel said. The caller sees to it
  // that the thread is of that process: there is no time to look. The calling thread may be moved
  // to another CPU.
  absl::Status Boost(pid_t tgid, pid_t tid);
  // `surely_there`: there is no need to make sure that the tid is no other thread's by now.
  void EndBoost(pid_t tid, bool surely_there = false);
  bool IsBoosted(pid_t tid) const;

  // What a boost was too urgent for: the ledger learns when its threads were started.
  void CatchUp();

  // A smaller weight, by kHeldBackNice steps of nice or as many as there are. Errors as above.
  absl::Status HoldBack(pid_t tgid, pid_t tid);
  void EndHoldBack(pid_t tid);
  // Its weight / its ordinary weight; 1: it could not be made smaller.
  double WeightRatio(pid_t tid) const;

 private:
  static constexpr int kHeldBackNice = 3;

  struct Changed {
    SchedAttributes ordinary;
    pid_t tgid;
    int ledger_index;
    uint64_t start_ticks = 0;  // 0: not yet known
    bool boosted = false;
    bool held_back = false;
  };
  absl::StatusOr<Changed*> Take(pid_t tgid, pid_t tid);
  SchedAttributes Wanted(const Changed& thread) const;
  absl::Status Apply(pid_t tid);
  void PassBooster(pid_t tid, const Changed& thread) const;
  bool HasGone(pid_t tid, const Changed& thread) const;
  void Forget(pid_t tid);

  const BoostMechanism mechanism_;
  const uint64_t default_slice_ns_;
  Ledger& ledger_;
  const Procfs& procfs_;
  std::map<pid_t, Changed> threads_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_THREAD_CONTROL_H_
