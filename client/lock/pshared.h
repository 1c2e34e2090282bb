// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_LOCK_PSHARED_H_
#define LOCKHOST_CLIENT_LOCK_PSHARED_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "client/lock/deadline.h"
#include "client/lock/lockhost.h"

namespace lockhost {

// SpinLock, Mutex and CondVar for memory that processes share. All zero at first: construct them
// in a MAP_SHARED mapping, or take the zeros of a new one for them. Where they differ from the
// private ones, and who should take RobustMutex instead: client/lock/lockhost.h. TimedLockable.
//
// Memory order: lock() and a successful try_lock() acquire, unlock() releases, also between
// processes.
class ProcessSharedSpinLock {
 public:
  constexpr ProcessSharedSpinLock() = default;
  ProcessSharedSpinLock(const ProcessSharedSpinLock&) = delete;
  ProcessSharedSpinLock& operator=(const ProcessSharedSpinLock&) = delete;

  void lock() { lockhost_pshared_spin_lock(&lock_); }
  bool try_lock() { return lockhost_pshared_spin_trylock(&lock_) != 0; }
  template <typename Rep, typename Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period>& timeout) {
    return lockhost_pshared_spin_timedlock(&lock_, lock::DeadlineNs(timeout)) != 0;
  }
  template <typename Clock, typename Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration>& deadline) {
    const auto now = Clock::now();
    return try_lock_for(deadline > now ? deadline - now : decltype(deadline - now)::zero());
  }
  void unlock() { lockhost_pshared_spin_unlock(&lock_); }

 private:
  lockhost_pshared_spinlock_t lock_ = LOCKHOST_PSHARED_SPINLOCK_INITIALIZER;
};

class ProcessSharedMutex {
 public:
  constexpr ProcessSharedMutex() = default;
  ProcessSharedMutex(const ProcessSharedMutex&) = delete;
  ProcessSharedMutex& operator=(const ProcessSharedMutex&) = delete;

  void lock() { lockhost_pshared_mutex_lock(&mutex_); }
  bool try_lock() { return lockhost_pshared_mutex_trylock(&mutex_) != 0; }
  template <typename Rep, typename Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period>& timeout) {
    return LockBefore(LOCKHOST_CLOCK_MONOTONIC, lock::DeadlineNs(timeout));
  }
  // Any clock but the system's is taken for a steady one.
  template <typename Clock, typename Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration>& deadline) {
    const auto now = Clock::now();
    return try_lock_for(deadline > now ? deadline - now : decltype(deadline - now)::zero());
  }
  template <typename Duration>
  bool try_lock_until(
      const std::chrono::time_point<std::chrono::system_clock, Duration>& deadline) {
    return LockBefore(LOCKHOST_CLOCK_REALTIME, lock::WallClockNs(deadline));
  }
  void unlock() { lockhost_pshared_mutex_unlock(&mutex_); }

  lockhost_pshared_mutex_t* native_handle() { return &mutex_; }

 private:
  bool LockBefore(lockhost_clock_t clock, uint64_t deadline_ns) {
    return lockhost_pshared_mutex_timedlock(&mutex_, clock, deadline_ns) != 0;
  }

  lockhost_pshared_mutex_t mutex_ = LOCKHOST_PSHARED_MUTEX_INITIALIZER;
};

// REQUIRES, of each wait: `held` holds its mutex, which is the same for all who wait.
class ProcessSharedCondVar {
 public:
  constexpr ProcessSharedCondVar() = default;
  ProcessSharedCondVar(const ProcessSharedCondVar&) = delete;
  ProcessSharedCondVar& operator=(const ProcessSharedCondVar&) = delete;

  template <typename Predicate>
  void wait(std::unique_lock<ProcessSharedMutex>& held, Predicate predicate) {
    while (!predicate()) lockhost_pshared_cond_wait(&cond_, held.mutex()->native_handle());
  }
  // Returns what `predicate` says in the end. The steady clock counts.
  template <typename Rep, typename Period, typename Predicate>
  bool wait_for(std::unique_lock<ProcessSharedMutex>& held,
                const std::chrono::duration<Rep, Period>& timeout, Predicate predicate) {
    const uint64_t deadline_ns = lock::DeadlineNs(timeout);
    while (!predicate()) {
      if (lockhost_pshared_cond_timedwait(&cond_, held.mutex()->native_handle(),
                                          LOCKHOST_CLOCK_MONOTONIC, deadline_ns) == 0) {
        return predicate();
      }
    }
    return true;
  }

  void notify_one() { lockhost_pshared_cond_signal(&cond_); }
  void notify_all() { lockhost_pshared_cond_broadcast(&cond_); }

 private:
  lockhost_pshared_cond_t cond_ = LOCKHOST_PSHARED_COND_INITIALIZER;
};

}  // namespace lockhost

#endif  // LOCKHOST_CLIENT_LOCK_PSHARED_H_
