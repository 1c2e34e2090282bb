// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_LOCK_SPINLOCK_H_
#define LOCKHOST_CLIENT_LOCK_SPINLOCK_H_

#include "client/lock/inline_path.h"
#include "client/lock/lockhost.h"

namespace lockhost {

// The paravirtual spinlock; Lockable, so std::lock_guard and std::unique_lock work.
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
  void lock() {
    if (!lock::TryLockInline(&lock_.word)) lock::LockSlow(&lock_.word);
  }

  // Acquires if free.
  bool try_lock() { return lock::TryLockInline(&lock_.word); }

  // REQUIRES: the calling thread holds the lock.
  void unlock() { lock::UnlockInline(&lock_.word); }

  // Whether somebody held it a moment ago.
  bool is_locked() const { return lockhost_spin_is_locked(&lock_) != 0; }

 private:
  lockhost_spinlock_t lock_ = LOCKHOST_SPINLOCK_INITIALIZER;
};

}  // namespace lockhost

#endif  // LOCKHOST_CLIENT_LOCK_SPINLOCK_H_
