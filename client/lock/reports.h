// SPDX-License-Identifier: Apache-2.0
//
// What the lock writes into the report page. Plain stores, no system call but the
// bell, which rings once for each time that the guest agent armed it.
//
// A word may end up in the slot of a vCPU that the thread has just left: legal, the
// next lock operation on that vCPU puts it right. Bit meanings: report_page.h.
//
// A waiter says that it holds before it tries to: the atomic operation on a contended word
// takes long, and an interrupt that comes meanwhile finds the CPU right behind it, so that
// said afterwards one holder in seven was preempted unreported. A release is said after the
// fact: waiters have just read the report's cache line, and to wait for it first made a
// hand-over 5% slower. A vCPU preempted in that gap is reported as a holder for nothing.
#ifndef LOCKHOST_CLIENT_LOCK_REPORTS_H_
#define LOCKHOST_CLIENT_LOCK_REPORTS_H_

#include <cstdint>

#include "client/lock/lock_word.h"
#include "client/lock/platform.h"

namespace lockhost::lock {

// The thread as the holder in a report word; 0 if it holds nothing.
inline uint64_t HolderInReport(uint32_t slot, uint32_t held) {
  return held != 0 ? (slot + 1) & LOCKHOST_REPORT_HOLDER_MASK : 0;
}

// Stores who holds a lock on `vcpu` into its report word.
inline void ReportHolder(lockhost_report_header* page, uint32_t slots, uint32_t vcpu,
                         uint64_t holder) {
  if (vcpu >= slots) return;
  uint64_t& word = lockhost_report_slot_at(page, vcpu)->report_word;
  const uint64_t next_count =
      (__atomic_load_n(&word, __ATOMIC_RELAXED) | LOCKHOST_REPORT_HOLDER_MASK) + 1;
  __atomic_store_n(&word, next_count + holder, __ATOMIC_RELAXED);
}

// The thread holds one lock more. REQUIRES, as below: there is a page, as where nobody
// reads nothing is counted.
inline void ReportTaken(lockhost_report_header* page, uint32_t slots, uint32_t vcpu,
                        lockhost_thread& self) {
  ++self.held;
  ReportHolder(page, slots, vcpu, HolderInReport(self.slot, 1));
}

// The thread holds one lock less: possibly one that it took before the page came.
inline void ReportReleased(lockhost_report_header* page, uint32_t slots, uint32_t vcpu,
                           lockhost_thread& self) {
  const uint32_t held = self.held != 0 ? self.held - 1 : 0;
  self.held = held;
  ReportHolder(page, slots, vcpu, HolderInReport(self.slot, held));
}

inline void ReportTaken(const lockhost_env& env, uint32_t vcpu, lockhost_thread& self) {
  if (env.pages.report_slots == 0) return;
  ReportTaken(env.pages.reports, env.pages.report_slots, vcpu, self);
}

inline void ReportReleased(const lockhost_env& env, uint32_t vcpu, lockhost_thread& self) {
  if (env.pages.report_slots == 0) return;
  ReportReleased(env.pages.reports, env.pages.report_slots, vcpu, self);
}

// The report word of `vcpu`, 0 where there is none. It changes with every lock
// operation on that vCPU: a waiter sees in it that the holder makes progress.
inline uint64_t ReportWordOf(const lockhost_env& env, uint32_t vcpu) {
  if (vcpu >= env.pages.report_slots) return 0;
  return __atomic_load_n(&lockhost_report_slot_at(env.pages.reports, vcpu)->report_word,
                         __ATOMIC_RELAXED);
}

// Says that somebody waits for a lock held on `vcpu`. Reads first, so that a lock
// contended for long does not bounce the line.
inline void MarkAwaited(const lockhost_env& env, uint32_t vcpu) {
  if (vcpu >= env.pages.report_slots) return;
  uint32_t& awaited = lockhost_report_slot_at(env.pages.reports, vcpu)->awaited;
  if (__atomic_load_n(&awaited, __ATOMIC_RELAXED) == 0) {
    __atomic_store_n(&awaited, 1, __ATOMIC_RELAXED);
  }
}

// Says whom a thread on `vcpu` waits for; LOCKHOST_UNKNOWN_VCPU: nobody any more.
inline void ReportWaiting(const lockhost_env& env, uint32_t vcpu, uint32_t holder) {
  if (vcpu >= env.pages.report_slots) return;
  const uint64_t waits_for = holder == LOCKHOST_UNKNOWN_VCPU ? 0 : uint64_t{holder} + 1;
  uint64_t& place = lockhost_report_slot_at(env.pages.reports, vcpu)->waits_for;
  __atomic_store_n(&place, waits_for, __ATOMIC_RELAXED);
}

// Wakes the guest agent if it armed the bell: demand begins.
inline void RingIfArmed(const lockhost_env& env) {
  lockhost_report_header* reports = env.pages.reports;
  if (reports == nullptr || __atomic_load_n(&reports->bell_armed, __ATOMIC_RELAXED) == 0) return;
  if (__atomic_exchange_n(&reports->bell_armed, 0, __ATOMIC_ACQ_REL) == 0) return;
  __atomic_fetch_add(&reports->bell, 1, __ATOMIC_RELEASE);
  env.platform->ring(env.context, reports);
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_REPORTS_H_
