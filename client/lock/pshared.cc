// SPDX-License-Identifier: Apache-2.0
//
// Locks in memory that processes share: the same cores, with futexes that are not private.
#include <climits>

#include "client/lock/lock_word.h"
#include "client/lock/lockhost.h"
#include "client/lock/process.h"
#include "client/lock/sanitizer.h"
#include "client/lock/spin_core.h"
#include "client/lock/timed_wait.h"

namespace lock = lockhost::lock;

namespace {

bool TryLock(uint32_t* word) {
  return lock::TellIfAcquired(lockhost_core_trylock(&lock::SharedEnv(), word) != 0, word);
}

bool TryLockInTurn(uint32_t* word) {
  return lock::TellIfAcquired(lockhost_core_trylock_in_turn(&lock::SharedEnv(), word) != 0, word);
}

}  // namespace

int lockhost_pshared_spin_timedlock(lockhost_pshared_spinlock_t* lock, uint64_t deadline_ns) {
  if (TryLockInTurn(&lock->word)) return 1;
  lock::Attach();
  const int taken = lockhost_core_lock_until(&lock::SharedEnv(), &lock->word, deadline_ns);
  return lock::TellIfAcquired(taken != 0, &lock->word) ? 1 : 0;
}

void lockhost_pshared_spin_lock(lockhost_pshared_spinlock_t* lock) {
  lockhost_pshared_spin_timedlock(lock, UINT64_MAX);
}

int lockhost_pshared_spin_trylock(lockhost_pshared_spinlock_t* lock) {
  return TryLock(&lock->word) ? 1 : 0;
}

void lockhost_pshared_spin_unlock(lockhost_pshared_spinlock_t* lock) {
  lock::TellReleased(&lock->word);
  lockhost_core_unlock(&lock::SharedEnv(), &lock->word);
}

int lockhost_pshared_mutex_timedlock(lockhost_pshared_mutex_t* mutex, lockhost_clock_t clock,
                                     uint64_t deadline_ns) {
  if (TryLockInTurn(&mutex->word)) return 1;
  lock::Attach();
  const bool taken = lock::MutexLockUntil(lock::SharedEnv(), &mutex->word, {clock, deadline_ns});
  return lock::TellIfAcquired(taken, &mutex->word) ? 1 : 0;
}

void lockhost_pshared_mutex_lock(lockhost_pshared_mutex_t* mutex) {
  lockhost_pshared_mutex_timedlock(mutex, LOCKHOST_CLOCK_MONOTONIC, UINT64_MAX);
}

int lockhost_pshared_mutex_trylock(lockhost_pshared_mutex_t* mutex) {
  return TryLock(&mutex->word) ? 1 : 0;
}

void lockhost_pshared_mutex_unlock(lockhost_pshared_mutex_t* mutex) {
  lock::TellReleased(&mutex->word);
  lockhost_core_unlock(&lock::SharedEnv(), &mutex->word);
}

int lockhost_pshared_cond_timedwait(lockhost_pshared_cond_t* cond, lockhost_pshared_mutex_t* mutex,
                                    lockhost_clock_t clock, uint64_t deadline_ns) {
  lock::Attach();
  lock::TellReleased(&mutex->word);
  const int woken = lock::CondWait(lock::SharedEnv(), lock::Sharing::kShared, &cond->cond,
                                   &mutex->word, {clock, deadline_ns});
  lock::TellAcquired(&mutex->word);
  return woken;
}

void lockhost_pshared_cond_wait(lockhost_pshared_cond_t* cond, lockhost_pshared_mutex_t* mutex) {
  lockhost_pshared_cond_timedwait(cond, mutex, LOCKHOST_CLOCK_MONOTONIC, UINT64_MAX);
}

void lockhost_pshared_cond_signal(lockhost_pshared_cond_t* cond) {
  lock::CondWake(lock::Sharing::kShared, &cond->cond, 1);
}

void lockhost_pshared_cond_broadcast(lockhost_pshared_cond_t* cond) {
  lock::CondWake(lock::Sharing::kShared, &cond->cond, INT_MAX);
}
