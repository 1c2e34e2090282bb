// SPDX-License-Identifier: Apache-2.0
//
// Watches one vCPU wait: what it waits for, what the hint page says of it, and what
// the oracle (the scheduler's own account, the VM's vCPU table) says. The same few
// loads for every subject, so that measuring favours none.
//
// An observation stands until the same waiter's next one: the time between them
// counts for what was seen at its beginning. A time longer than the cap is the
// waiter's own loss of the CPU, and is cut. A park counts with all its duration: the
// stamps in page and table say what they said meanwhile (tests/lab/guest/park_judgement.h).
#ifndef LOCKHOST_TESTS_LAB_GUEST_OBSERVER_H_
#define LOCKHOST_TESTS_LAB_GUEST_OBSERVER_H_

#include "client/lock/platform.h"
#include "tests/lab/abi/lab_abi.h"

namespace lockhost::lab {

class Observer {
 public:
  Observer(const RunConfig& config, const lockhost_pages& pages, VcpuBlock& block);

  // Before the first attempt to take the lock, and when it is taken.
  void BeginWait() { standing_ = false; }
  void EndWait(uint64_t tsc) {
    if (standing_) Settle(tsc);
    standing_ = false;
  }

  // One turn of a spin loop, waiting for `holder` (LOCKHOST_UNKNOWN_VCPU: free, or not known).
  void Spin(uint32_t holder);

  // Around a sleep. `still_held`: the lock word is what it was when the waiter decided.
  void BeginPark(const lockhost_waiting& waiting, bool still_held);
  void EndPark(bool same_holder);

  uint64_t Tsc() const { return ReadTsc() + static_cast<uint64_t>(tsc_delta_); }

 private:
  // What was seen at one moment.
  struct Sight {
    uint64_t tsc;
    uint64_t revision;  // by the oracle
    uint32_t holder;
    uint64_t report;  // the holder's report word
    uint32_t truth;   // enum lockhost_run_state, by the oracle
    uint32_t belief;  // the same, by the page
  };

  uint64_t Truth(uint32_t vcpu) const;
  Sight Look(uint32_t holder);
  void Settle(uint64_t tsc);
  void Judge(const Sight& sight, uint64_t ticks);
  void BookPark(const Sight& before, const Sight& after);
  void CountDelivery(const Sight& before, const Sight& now);
  void CountFirstSight(const Sight& before, const Sight& now);
  void CountPageWrite(const Sight& before, const Sight& now);
  static uint64_t StampOf(const lockhost_hint_header* page, const Sight& sight);
  bool FirstToCount(uint32_t vcpu, uint64_t revision);

  const RunConfig& config_;
  const lockhost_pages& pages_;
  VcpuStats& stats_;
  SharedArea& shared_;
  const lockhost_hint_header* const oracle_;
  const int64_t tsc_delta_;

  bool standing_ = false;  // last_ holds a sight of the present wait
  Sight last_ = {};
  uint64_t watched_since_ns_ = 0;  // when this waiter began to wait for last_.holder
  uint64_t settled_revision_ = 0;  // of last_.holder: nothing more to count for it
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_GUEST_OBSERVER_H_
