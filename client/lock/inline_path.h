// SPDX-License-Identifier: Apache-2.0
//
// The part of the lock that is compiled into applications: one CAS to take a free
// lock, one atomic operation to release it, and where there is a report page two plain
// stores into this vCPU's slot. What lies between two atomic operations is not overlapped
// with them, hence as few loads that depend on one another as can be.
// Private to spinlock.h and lockhost.cc.
#ifndef LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_
#define LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_

#include <cstdint>

#include "client/lock/lock_word.h"
#include "client/lock/lockhost.h"
#include "client/lock/process.h"
#include "client/lock/reports.h"

namespace lockhost::lock {

// Takes the lock, however long it takes; attaches the pages at the first call.
void LockSlow(uint32_t* word);

// The same until CLOCK_MONOTONIC has reached `deadline_ns`. True if the lock was taken.
bool LockSlowUntil(uint32_t* word, uint64_t deadline_ns);

// The same for a mutex: `clock` says what the deadline is of.
void MutexLockSlow(uint32_t* word);
bool MutexLockSlowUntil(uint32_t* word, lockhost_clock_t clock, uint64_t deadline_ns);

// Wakes one sleeper on the word.
void KickSlow(uint32_t* word);

inline bool TryLockInline(uint32_t* word) {
  const uint32_t slots = ReportSlots();
  const uint32_t vcpu = CurrentVcpu();
  if (!TryTakeFree(word, HolderTag(vcpu))) return false;
  if (slots != 0) ReportTaken(report_page.page, slots, vcpu, ThisThread());
  return true;
}

inline void UnlockInline(uint32_t* word) {
  const bool must_kick = Release(word);
  if (const uint32_t slots = ReportSlots(); slots != 0) {
    ReportReleased(report_page.page, slots, CurrentVcpu(), ThisThread());
  }
  if (must_kick) KickSlow(word);
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_
