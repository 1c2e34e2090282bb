// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_LOCK_SPINLOCK_H_
#define LOCKHOST_CLIENT_LOCK_SPINLOCK_H_

#include <chrono>

#include "client/lock/deadline.h"
#include "client/lock/inline_path.h"
#include "client/lock/lockhost.h"

namespace lockhost {
// The paravirtual spinlock; TimedLockable, so std::lock_guard and std::unique_lock work.
// 4 bytes, constant-initialised. What it is, who should not use it and its thread
// safety: client/lock/lockhost.h; this is the same lock with its fast path inline.
//
// Memory order: lock() and a successful try_lock() acquire, unlock() releases; there
// is a single total order of the operations on one lock, none between locks.
class SpinLock {
 public:
  constexpr SpinLock() = default;
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  // Acquires. Not recursive.
  [[gnu::always_inline]] void lock() {
    if (!lock::TryLockInline(&lock_.word)) lock::LockSlow(&lock_.word);
  }

  // Acquires if free.
  bool try_lock() { return lock::TryLockWithoutWaiting(&lock_.word); }

  // Acquires, unless that takes longer than `timeout`. A free lock is always acquired.
  template <typename Rep, typename Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period>& timeout) {
    if (try_lock()) return true;
    return lock::LockSlowUntil(&lock_.word, lock::DeadlineNs(timeout));
  }

  // The same until `deadline`. Sleeps by CLOCK_MONOTONIC: where `Clock` is another one and is
  // set meanwhile, it may give up early or late.
  template <typename Clock, typename Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration>& deadline) {
    const auto now = Clock::now();
    return try_lock_for(deadline > now ? deadline - now : decltype(deadline - now)::zero());
  }

  // REQUIRES: the calling thread holds the lock.
  [[gnu::always_inline]] void unlock() { lock::UnlockInline(&lock_.word); }

  // Whether somebody held it a moment ago.
  bool is_locked() const { return lockhost_spin_is_locked(&lock_) != 0; }

  // Whether threads slept for it a moment ago; those that spin leave no trace.
  bool is_contended() const { return lockhost_spin_is_contended(&lock_) != 0; }

 private:
  lockhost_spinlock_t lock_ = LOCKHOST_SPINLOCK_INITIALIZER;
};

}  // namespace lockhost

#endif  // LOCKHOST_CLIENT_LOCK_SPINLOCK_H_
