// SPDX-License-Identifier: Apache-2.0
//
// What the lock writes into the report page. Plain stores, no system call but the
// bell, which rings once for each time that the guest agent armed it.
//
// A word may end up in the slot of a vCPU that the thread has just left: legal, the
// next lock operation on that vCPU puts it right. Bit meanings: report_page.h.
//
// Who is about to take a lock says that it holds it before it tries to: the atomic operation
// on a contended word takes long, and an interrupt that comes meanwhile finds the CPU right
// behind it, so that said afterwards one holder in seven was preempted unreported. On a word
// nobody else wants the store is hidden behind the operation before. A release is said after
// the fact: waiters have just read the report's cache line, and to wait for it first made a
// hand-over 5% slower. A vCPU preempted in that gap is reported as a holder for nothing.
#ifndef LOCKHOST_CLIENT_LOCK_REPORTS_H_
#define LOCKHOST_CLIENT_LOCK_REPORTS_H_

#include <cstdint>

#include "client/lock/lock_word.h"
#include "client/lock/platform.h"

namespace lockhost::lock {

inline constexpr uint64_t kOneReport = uint64_t{1} << LOCKHOST_REPORT_COUNT_SHIFT;

// The thread holds one lock more. REQUIRES, as below: there is a page, as where nobody
// reads nothing is counted. The number in the word is the thread's own, which begins unlike any
// other's: to count in the word itself is one load more between two atomic operations.
inline void ReportTaken(uint64_t* word, lockhost_thread& self) {
  ++self.held;
  self.report += kOneReport;
  __atomic_store_n(word, self.report, __ATOMIC_RELAXED);
}

// The thread holds one lock less: possibly one that it took before the page came.
inline void ReportReleased(uint64_t* word, lockhost_thread& self) {
  if (__builtin_expect(self.held > 1, 0)) {
    --self.held;
    self.report += kOneReport;
    __atomic_store_n(word, self.report, __ATOMIC_RELAXED);
  } else {
    self.held = 0;
    __atomic_store_n(word, self.report & ~LOCKHOST_REPORT_HOLDER_MASK, __ATOMIC_RELAXED);
  }
}

// The report word of `vcpu`; `unread` if it has none, but others have; null without a page.
inline uint64_t* ReportPlace(const lockhost_pages& pages, uint32_t vcpu, uint64_t* unread) {
  if (pages.report_slots == 0) return nullptr;
  return vcpu < pages.report_slots ? &lockhost_report_slot_at(pages.reports, vcpu)->report_word
                                   : unread;
}

inline void ReportTaken(const lockhost_env& env, uint32_t vcpu, lockhost_thread& self) {
  uint64_t unread = 0;
  if (uint64_t* word = ReportPlace(env.pages, vcpu, &unread)) ReportTaken(word, self);
}

inline void ReportReleased(const lockhost_env& env, uint32_t vcpu, lockhost_thread& self) {
  uint64_t unread = 0;
  if (uint64_t* word = ReportPlace(env.pages, vcpu, &unread)) ReportReleased(word, self);
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

// Says what a thread on `vcpu` is to the sleepers of the lock: 0 or LOCKHOST_WAIT_*.
inline void ReportRole(const lockhost_env& env, uint32_t vcpu, uint64_t role) {
  if (vcpu >= env.pages.report_slots) return;
  uint64_t& place = lockhost_report_slot_at(env.pages.reports, vcpu)->wait_role;
  __atomic_store_n(&place, role, __ATOMIC_RELAXED);
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
