// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_LOCK_MUTEX_H_
#define LOCKHOST_CLIENT_LOCK_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "client/lock/deadline.h"
#include "client/lock/inline_path.h"
#include "client/lock/lockhost.h"

namespace lockhost {

// A mutex for longer holds, also such in which the holder sleeps; TimedLockable, so
// std::lock_guard and std::unique_lock work. 4 bytes, constant-initialised. Where it differs
// from SpinLock, its thread-safety and who should not use it: client/lock/lockhost.h.
//
// Memory order: lock() and a successful try_lock() acquire, unlock() releases.
class Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // Acquires. Not recursive.
  [[gnu::always_inline]] void lock() {
    if (!lock::TryLockInline(&mutex_.word)) lock::MutexLockSlow(&mutex_.word);
  }

  // Acquires if free.
  bool try_lock() { return lock::TryLockWithoutWaiting(&mutex_.word); }

  // Acquires, unless that takes longer than `timeout`. A free mutex is always acquired.
  template <typename Rep, typename Period>
  bool try_lock_for(const std::chrono::duration<Rep, Period>& timeout) {
    return LockBefore(LOCKHOST_CLOCK_MONOTONIC, lock::DeadlineNs(timeout));
  }

  // The same until `deadline`. Any clock but the system's is taken for a steady one.
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

  // REQUIRES: the calling thread holds the mutex.
  [[gnu::always_inline]] void unlock() { lock::UnlockInline(&mutex_.word); }

  // Whether somebody held it, or slept for it, a moment ago; as of SpinLock.
  bool is_locked() const { return lockhost_mutex_is_locked(&mutex_) != 0; }
  bool is_contended() const { return lockhost_mutex_is_contended(&mutex_) != 0; }

  // For the C ABI, as std::mutex has it.
  lockhost_mutex_t* native_handle() { return &mutex_; }

 private:
  bool LockBefore(lockhost_clock_t clock, uint64_t deadline_ns) {
    return try_lock() || lock::MutexLockSlowUntil(&mutex_.word, clock, deadline_ns);
  }

  lockhost_mutex_t mutex_ = LOCKHOST_MUTEX_INITIALIZER;
};

// A condition variable for Mutex; the names are those of std::condition_variable. 8 bytes,
// constant-initialised. What may be assumed of it: client/lock/lockhost.h. A wait may end for no
// reason; those that take a predicate do not.
//
// REQUIRES, of each wait: `held` holds its mutex, which is the same for all who wait.
// Memory order: a wait releases and acquires the mutex; waking orders nothing.
class CondVar {
 public:
  constexpr CondVar() = default;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  void wait(std::unique_lock<Mutex>& held) {
    lockhost_cond_wait(&cond_, held.mutex()->native_handle());
  }
  template <typename Predicate>
  void wait(std::unique_lock<Mutex>& held, Predicate predicate) {
    while (!predicate()) wait(held);
  }

  // The steady clock counts.
  template <typename Rep, typename Period>
  std::cv_status wait_for(std::unique_lock<Mutex>& held,
                          const std::chrono::duration<Rep, Period>& timeout) {
    return WaitBefore(held, LOCKHOST_CLOCK_MONOTONIC, lock::DeadlineNs(timeout));
  }
  // Returns what `predicate` says in the end.
  template <typename Rep, typename Period, typename Predicate>
  bool wait_for(std::unique_lock<Mutex>& held, const std::chrono::duration<Rep, Period>& timeout,
                Predicate predicate) {
    const uint64_t deadline_ns = lock::DeadlineNs(timeout);
    while (!predicate()) {
      if (WaitBefore(held, LOCKHOST_CLOCK_MONOTONIC, deadline_ns) == std::cv_status::timeout) {
        return predicate();
      }
    }
    return true;
  }

  // Until the clock of `deadline` says so. Any clock but the system's is taken for a steady one.
  template <typename Clock, typename Duration>
  std::cv_status wait_until(std::unique_lock<Mutex>& held,
                            const std::chrono::time_point<Clock, Duration>& deadline) {
    const auto now = Clock::now();
    return wait_for(held, deadline > now ? deadline - now : decltype(deadline - now)::zero());
  }
  template <typename Duration>
  std::cv_status wait_until(
      std::unique_lock<Mutex>& held,
      const std::chrono::time_point<std::chrono::system_clock, Duration>& deadline) {
    return WaitBefore(held, LOCKHOST_CLOCK_REALTIME, lock::WallClockNs(deadline));
  }
  template <typename Clock, typename Duration, typename Predicate>
  bool wait_until(std::unique_lock<Mutex>& held,
                  const std::chrono::time_point<Clock, Duration>& deadline, Predicate predicate) {
    while (!predicate()) {
      if (wait_until(held, deadline) == std::cv_status::timeout) return predicate();
    }
    return true;
  }

  void notify_one() { lockhost_cond_signal(&cond_); }
  void notify_all() { lockhost_cond_broadcast(&cond_); }

 private:
  std::cv_status WaitBefore(std::unique_lock<Mutex>& held, lockhost_clock_t clock,
                            uint64_t deadline_ns) {
    const int woken =
        lockhost_cond_timedwait(&cond_, held.mutex()->native_handle(), clock, deadline_ns);
    return woken != 0 ? std::cv_status::no_timeout : std::cv_status::timeout;
  }

  lockhost_cond_t cond_ = LOCKHOST_COND_INITIALIZER;
};

}  // namespace lockhost

#endif  // LOCKHOST_CLIENT_LOCK_MUTEX_H_
