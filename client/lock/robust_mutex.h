// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_LOCK_ROBUST_MUTEX_H_
#define LOCKHOST_CLIENT_LOCK_ROBUST_MUTEX_H_

#include <chrono>

#include "client/lock/deadline.h"
#include "client/lock/lockhost.h"

namespace lockhost {

// A mutex between processes that outlives its owners. 8 bytes, all zero at first: construct it
// in a MAP_SHARED mapping, or take the zeros of a new one for it. What the results mean (0,
// EOWNERDEAD, ENOTRECOVERABLE, EBUSY, ETIMEDOUT), how a dead owner is found and how fast, and
// the limits: client/lock/lockhost.h. Not Lockable on purpose: std::lock_guard would throw the
// result away, which says that the data may be in disorder.
class RobustMutex {
 public:
  constexpr RobustMutex() = default;
  RobustMutex(const RobustMutex&) = delete;
  RobustMutex& operator=(const RobustMutex&) = delete;

  [[nodiscard]] int Lock() { return lockhost_robust_lock(&mutex_); }
  [[nodiscard]] int TryLock() { return lockhost_robust_trylock(&mutex_); }
  template <typename Rep, typename Period>
  [[nodiscard]] int TryLockFor(const std::chrono::duration<Rep, Period>& timeout) {
    return lockhost_robust_timedlock(&mutex_, lock::DeadlineNs(timeout));
  }

  // REQUIRES, both: the calling thread holds the mutex.
  void MarkConsistent() { lockhost_robust_consistent(&mutex_); }
  void Unlock() { lockhost_robust_unlock(&mutex_); }

 private:
  lockhost_robust_mutex_t mutex_ = LOCKHOST_ROBUST_MUTEX_INITIALIZER;
};

}  // namespace lockhost

#endif  // LOCKHOST_CLIENT_LOCK_ROBUST_MUTEX_H_
