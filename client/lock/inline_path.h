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
#include "client/lock/turns.h"

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

// The turns that follow a wait (turns.h). Not inlined: they are few.
[[gnu::noinline]] inline void NoteAttemptOf(const uint32_t* word) {
  NoteAttempt(this_thread.self.turns, word, __builtin_ia32_rdtsc());
}
[[gnu::noinline]] inline void NoteReleaseOf(const uint32_t* word) {
  NoteRelease(this_thread.self.turns, word, __builtin_ia32_rdtsc());
}

// The paravirtual operations where there are pages. Not inlined: they would be most of the code
// at each lock.
[[gnu::noinline]] inline bool TryLockReporting(uint32_t* word, ThreadState& thread) {
  if (__builtin_expect(IsNoted(thread.self.turns), 0)) NoteAttemptOf(word);
  if (thread.report_word == nullptr) return TryTakeFree(word, thread.tag);
  ReportTaken(thread.report_word, thread.self);  // first: see reports.h
  if (__builtin_expect(TryTakeFree(word, thread.tag), 1)) return true;
  ReportReleased(thread.report_word, thread.self);
  return false;
}

// For who does not wait, after an attempt that failed: the lock may be free, but claimed
// (lock_word.h), and the claimant may have gone, as in a forked child.
[[gnu::noinline]] inline bool TryLockPastClaim(uint32_t* word) {
  ThreadState& thread = ThisThread();
  if (!TryTakePastClaim(word, thread.tag)) return false;
  if (thread.report_word != nullptr) ReportTaken(thread.report_word, thread.self);
  return true;
}

[[gnu::noinline]] inline void UnlockReporting(uint32_t* word) {
  const bool must_kick = Release(word);
  ThreadState& thread = ThisThread();
  if (thread.report_word != nullptr) ReportReleased(thread.report_word, thread.self);
  if (__builtin_expect(IsNoted(thread.self.turns), 0)) NoteReleaseOf(word);
  if (__builtin_expect(must_kick, 0)) KickSlow(word);
}

[[gnu::always_inline]] inline bool TryLockInline(uint32_t* word) {
  ThreadState& thread = ThisThread();
  if (__builtin_expect(!IsAttached(), 1)) {
    if (__builtin_expect(IsNoted(thread.self.turns), 0)) NoteAttemptOf(word);
    return TryTakeFree(word, thread.tag);
  }
  uint32_t seen = 0;
  if (TakesNatively(process_state.operations) && TryTakeNatively(word, thread.self, &seen)) {
    return true;
  }
  return !IsHeld(seen) && TryLockReporting(word, thread);
}

[[gnu::always_inline]] inline bool TryLockWithoutWaiting(uint32_t* word) {
  return TryLockInline(word) || TryLockPastClaim(word);
}

[[gnu::always_inline]] inline void UnlockInline(uint32_t* word) {
  if (__builtin_expect(!IsAttached(), 1)) {
    const bool must_kick = Release(word);
    if (__builtin_expect(IsNoted(this_thread.self.turns), 0)) NoteReleaseOf(word);
    if (__builtin_expect(must_kick, 0)) KickSlow(word);
  } else if (!ReleaseNatively(word, this_thread.self)) {
    UnlockReporting(word);
  }
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_
