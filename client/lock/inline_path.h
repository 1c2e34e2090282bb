// SPDX-License-Identifier: Apache-2.0
//
// The part of the lock that is compiled into applications: one CAS to take a free
// lock, one atomic operation to release it (native: a plain store), and where there is a
// report page two plain stores into this vCPU's slot. Nothing that needs a load of the lock word
// itself, nor loads that depend on one another, lies between two atomic operations: the processor
// does not begin them before the first has ended, nor the second before they have. Private to
// spinlock.h, mutex.h and lockhost.cc.
#ifndef LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_
#define LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_

#include <cstdint>

#include "client/lock/lock_mode.h"
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

// Reports first: see reports.h.
inline bool TryLockAttached(uint32_t* word, ThreadState& thread) {
  if (TakesNatively(process_state.operations)) {
    uint32_t seen = 0;
    if (TryTakeNatively(word, thread.self, &seen)) return true;
    if (IsHeld(seen)) return false;
  }
  if (thread.report_word == nullptr) return TryTakeFree(word, thread.tag);
  ReportTaken(thread.report_word, thread.self);
  if (__builtin_expect(TryTakeFree(word, thread.tag), 1)) return true;
  ReportReleased(thread.report_word, thread.self);
  return false;
}

inline void UnlockAttached(uint32_t* word) {
  if (ReleaseNatively(word, this_thread.self)) return;
  const bool must_kick = Release(word);
  ThreadState& thread = ThisThread();
  if (thread.report_word != nullptr) ReportReleased(thread.report_word, thread.self);
  if (must_kick) KickSlow(word);
}

inline bool TryLockInline(uint32_t* word) {
  ThreadState& thread = ThisThread();
  if (__builtin_expect(IsAttached(), 0)) return TryLockAttached(word, thread);
  return TryTakeFree(word, thread.tag);
}

inline void UnlockInline(uint32_t* word) {
  if (__builtin_expect(IsAttached(), 0)) return UnlockAttached(word);
  if (Release(word)) KickSlow(word);
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_
