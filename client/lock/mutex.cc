// SPDX-License-Identifier: Apache-2.0
//
// Mutex and condition variable of a process: the cores, on Linux' clocks and futexes.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include "client/lock/cond_core.h"
#include "client/lock/inline_path.h"
#include "client/lock/lockhost.h"
#include "client/lock/spin_core.h"

namespace lockhost::lock {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

// A mutex sleeps by the monotonic clock. Whoever has a deadline of the wall clock looks
// again so often whether somebody has set it.
constexpr uint64_t kLookAtWallClockNs = kNsPerSecond / 10;

uint64_t NowNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

// When a wait ends, and on what clock.
struct Deadline {
  lockhost_clock_t clock;
  uint64_t ns;  // UINT64_MAX: never
};

int SleepUntil(void* context, uint32_t* word, uint32_t expected) {
  const auto& deadline = *static_cast<const Deadline*>(context);
  const timespec at = {static_cast<time_t>(deadline.ns / kNsPerSecond),
                       static_cast<long>(deadline.ns % kNsPerSecond)};
  const int realtime = deadline.clock == LOCKHOST_CLOCK_REALTIME ? FUTEX_CLOCK_REALTIME : 0;
  const int saved = errno;  // no lock operation changes it
  const long result =
      syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE | realtime, expected,
              deadline.ns == UINT64_MAX ? nullptr : &at, nullptr, FUTEX_BITSET_MATCH_ANY);
  const bool late = result != 0 && errno == ETIMEDOUT;
  errno = saved;
  return late ? 1 : 0;
}

void Wake(void*, uint32_t* word, uint32_t count) {
  const int saved = errno;
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
  errno = saved;
}

int CondWait(lockhost_cond_t* cond, lockhost_mutex_t* mutex, Deadline deadline) {
  Attach();
  const lockhost_cond_ops ops = {.context = &deadline, .sleep = SleepUntil, .wake = Wake};
  return lockhost_core_cond_wait(&ProcessEnv(), &ops, cond, &mutex->word);
}

void CondWake(lockhost_cond_t* cond, uint32_t count) {
  const lockhost_cond_ops ops = {.context = nullptr, .sleep = SleepUntil, .wake = Wake};
  lockhost_core_cond_wake(&ops, cond, count);
}

}  // namespace

void MutexLockSlow(uint32_t* word) {
  Attach();
  lockhost_core_mutex_lock_until(&ProcessEnv(), word, UINT64_MAX);
}

bool MutexLockSlowUntil(uint32_t* word, lockhost_clock_t clock, uint64_t deadline_ns) {
  Attach();
  const lockhost_env& env = ProcessEnv();
  if (clock == LOCKHOST_CLOCK_MONOTONIC) {
    return lockhost_core_mutex_lock_until(&env, word, deadline_ns) != 0;
  }
  for (;;) {
    const uint64_t now_ns = NowNs(CLOCK_REALTIME);
    const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    const uint64_t slice_ns = left_ns < kLookAtWallClockNs ? left_ns : kLookAtWallClockNs;
    if (lockhost_core_mutex_lock_until(&env, word, NowNs(CLOCK_MONOTONIC) + slice_ns)) return true;
    if (left_ns == 0) return false;
  }
}

}  // namespace lockhost::lock

void lockhost_mutex_lock(lockhost_mutex_t* mutex) {
  if (!lockhost::lock::TryLockInline(&mutex->word)) lockhost::lock::MutexLockSlow(&mutex->word);
}

int lockhost_mutex_trylock(lockhost_mutex_t* mutex) {
  return lockhost::lock::TryLockInline(&mutex->word) ? 1 : 0;
}

int lockhost_mutex_timedlock(lockhost_mutex_t* mutex, lockhost_clock_t clock,
                             uint64_t deadline_ns) {
  if (lockhost::lock::TryLockInline(&mutex->word)) return 1;
  return lockhost::lock::MutexLockSlowUntil(&mutex->word, clock, deadline_ns) ? 1 : 0;
}

void lockhost_mutex_unlock(lockhost_mutex_t* mutex) { lockhost::lock::UnlockInline(&mutex->word); }

int lockhost_mutex_is_locked(const lockhost_mutex_t* mutex) {
  return lockhost::lock::IsHeld(__atomic_load_n(&mutex->word, __ATOMIC_RELAXED)) ? 1 : 0;
}

int lockhost_mutex_is_contended(const lockhost_mutex_t* mutex) {
  return lockhost::lock::HasSleepers(__atomic_load_n(&mutex->word, __ATOMIC_RELAXED)) ? 1 : 0;
}

void lockhost_cond_wait(lockhost_cond_t* cond, lockhost_mutex_t* mutex) {
  lockhost::lock::CondWait(cond, mutex, {LOCKHOST_CLOCK_MONOTONIC, UINT64_MAX});
}

int lockhost_cond_timedwait(lockhost_cond_t* cond, lockhost_mutex_t* mutex, lockhost_clock_t clock,
                            uint64_t deadline_ns) {
  return lockhost::lock::CondWait(cond, mutex, {clock, deadline_ns});
}

void lockhost_cond_signal(lockhost_cond_t* cond) { lockhost::lock::CondWake(cond, 1); }

void lockhost_cond_broadcast(lockhost_cond_t* cond) { lockhost::lock::CondWake(cond, INT_MAX); }
