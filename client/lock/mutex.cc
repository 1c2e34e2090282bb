// SPDX-License-Identifier: Apache-2.0
//
// Mutex and condition variable of one process.
#include <climits>

#include "client/lock/inline_path.h"
#include "client/lock/lockhost.h"
#include "client/lock/process.h"
#include "client/lock/sanitizer.h"
#include "client/lock/spin_core.h"
#include "client/lock/timed_wait.h"

namespace lockhost::lock {

void MutexLockSlow(uint32_t* word) {
  Attach();
  FollowThreads();
  lockhost_core_mutex_lock_until(&ProcessEnv(), word, UINT64_MAX);
  TellAcquired(word);
}

bool MutexLockSlowUntil(uint32_t* word, lockhost_clock_t clock, uint64_t deadline_ns) {
  Attach();
  FollowThreads();
  return TellIfAcquired(MutexLockUntil(ProcessEnv(), word, {clock, deadline_ns}), word);
}

}  // namespace lockhost::lock

void lockhost_mutex_lock(lockhost_mutex_t* mutex) {
  if (!lockhost::lock::TryLockTelling(&mutex->word)) lockhost::lock::MutexLockSlow(&mutex->word);
}

int lockhost_mutex_trylock(lockhost_mutex_t* mutex) {
  const bool taken = lockhost::lock::TryLockWithoutWaiting(&mutex->word);
  return lockhost::lock::TellIfAcquired(taken, &mutex->word) ? 1 : 0;
}

int lockhost_mutex_timedlock(lockhost_mutex_t* mutex, lockhost_clock_t clock,
                             uint64_t deadline_ns) {
  if (lockhost::lock::TryLockTelling(&mutex->word)) return 1;
  return lockhost::lock::MutexLockSlowUntil(&mutex->word, clock, deadline_ns) ? 1 : 0;
}

void lockhost_mutex_unlock(lockhost_mutex_t* mutex) {
  lockhost::lock::TellReleased(&mutex->word);
  lockhost::lock::UnlockInline(&mutex->word);
}

int lockhost_mutex_is_locked(const lockhost_mutex_t* mutex) {
  return lockhost::lock::IsHeld(__atomic_load_n(&mutex->word, __ATOMIC_RELAXED)) ? 1 : 0;
}

int lockhost_mutex_is_contended(const lockhost_mutex_t* mutex) {
  return lockhost::lock::HasSleepers(__atomic_load_n(&mutex->word, __ATOMIC_RELAXED)) ? 1 : 0;
}

void lockhost_cond_wait(lockhost_cond_t* cond, lockhost_mutex_t* mutex) {
  lockhost_cond_timedwait(cond, mutex, LOCKHOST_CLOCK_MONOTONIC, UINT64_MAX);
}

int lockhost_cond_timedwait(lockhost_cond_t* cond, lockhost_mutex_t* mutex, lockhost_clock_t clock,
                            uint64_t deadline_ns) {
  lockhost::lock::Attach();
  lockhost::lock::TellReleased(&mutex->word);
  const int woken =
      lockhost::lock::CondWait(lockhost::lock::ProcessEnv(), lockhost::lock::Sharing::kPrivate,
                               cond, &mutex->word, {clock, deadline_ns});
  lockhost::lock::TellAcquired(&mutex->word);
  return woken;
}

void lockhost_cond_signal(lockhost_cond_t* cond) {
  lockhost::lock::CondWake(lockhost::lock::Sharing::kPrivate, cond, 1);
}

void lockhost_cond_broadcast(lockhost_cond_t* cond) {
  lockhost::lock::CondWake(lockhost::lock::Sharing::kPrivate, cond, INT_MAX);
}
