// SPDX-License-Identifier: Apache-2.0
//
// One vCPU at work in one run: what the subjects need of their surroundings, and the
// lockhost environment over the same.
#ifndef LOCKHOST_TESTS_LAB_GUEST_WORKER_H_
#define LOCKHOST_TESTS_LAB_GUEST_WORKER_H_

#include "client/lock/platform.h"
#include "tests/lab/abi/lab_abi.h"
#include "tests/lab/guest/observer.h"

namespace lockhost::lab {

class Worker {
 public:
  Worker(const RunConfig& config, uint32_t vcpu);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  uint32_t vcpu() const { return vcpu_; }
  uint32_t vcpus() const { return config_.vcpus; }
  SharedArea& shared() { return shared_; }
  VcpuStats& stats() { return block_.stats; }
  Observer& observer() { return observer_; }
  const lockhost_env& env() const { return env_; }
  bool stopped() const { return __atomic_load_n(&config_.stop, __ATOMIC_RELAXED) != 0; }

  // The platform's operations, the same for all subjects. `holder`: the vCPU waited
  // for, LOCKHOST_UNKNOWN_VCPU if there is none.
  void Pause(uint32_t holder) {
    observer_.Spin(holder);
    __builtin_ia32_pause();
  }
  // True if a kick woke this vCPU; true if the kick woke one.
  bool Wait(uint32_t* word, uint32_t expected, uint64_t timeout_ns,
            const lockhost_waiting& waiting);
  bool Kick(uint32_t* word);
  void Ring(lockhost_report_header* reports);
  uint64_t NowNs() const { return config_.clock.ToNs(observer_.Tsc()); }
  lockhost_thread& thread() { return thread_; }

  // Writes this vCPU's report word as the lockhost core does, for subjects that do
  // not do it themselves: so the host counts lock-holder preemptions of all alike.
  void ReportHeld(bool held) {
    if (vcpu_ >= env_.pages.report_slots) return;
    uint64_t* word = &lockhost_report_slot_at(env_.pages.reports, vcpu_)->report_word;
    const uint64_t count = (*word >> LOCKHOST_REPORT_COUNT_SHIFT) + 1;
    __atomic_store_n(word, count << LOCKHOST_REPORT_COUNT_SHIFT | (held ? vcpu_ + 1 : 0),
                     __ATOMIC_RELAXED);
  }

 private:
  const RunConfig& config_;
  const uint32_t vcpu_;
  VcpuBlock& block_;
  SharedArea& shared_;
  lockhost_env env_;
  lockhost_thread thread_;
  Observer observer_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_GUEST_WORKER_H_
