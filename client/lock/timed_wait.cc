// SPDX-License-Identifier: Apache-2.0
#include "client/lock/timed_wait.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "client/lock/cond_core.h"
#include "client/lock/spin_core.h"

namespace lockhost::lock {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kLongestSharedWaitNs = 50'000'000;

// A mutex sleeps by the monotonic clock. Whoever has a deadline of the wall clock looks
// again so often whether somebody has set it.
constexpr uint64_t kLookAtWallClockNs = kNsPerSecond / 10;

uint64_t NowNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t NowNs(lockhost_clock_t clock) {
  return NowNs(clock == LOCKHOST_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC);
}

// One wait on a condition variable, and wake-ups of it.
struct CondSleep {
  Sharing sharing;
  Deadline deadline;

  int Operation(int operation) const {
    return sharing == Sharing::kPrivate ? operation | FUTEX_PRIVATE_FLAG : operation;
  }
  // When the system call shall end; the deadline or before.
  uint64_t EndNs() const {
    if (sharing == Sharing::kPrivate) return deadline.ns;
    const uint64_t longest_ns = NowNs(deadline.clock) + kLongestSharedWaitNs;
    return longest_ns < deadline.ns ? longest_ns : deadline.ns;
  }
};

int SleepUntil(void* context, uint32_t* word, uint32_t expected) {
  const auto& wait = *static_cast<const CondSleep*>(context);
  const uint64_t end_ns = wait.EndNs();
  const timespec at = {static_cast<time_t>(end_ns / kNsPerSecond),
                       static_cast<long>(end_ns % kNsPerSecond)};
  const int realtime = wait.deadline.clock == LOCKHOST_CLOCK_REALTIME ? FUTEX_CLOCK_REALTIME : 0;
  const int saved = errno;  // no lock operation changes it
  const long result =
      syscall(SYS_futex, word, wait.Operation(FUTEX_WAIT_BITSET) | realtime, expected,
              end_ns == UINT64_MAX ? nullptr : &at, nullptr, FUTEX_BITSET_MATCH_ANY);
  const bool late = result != 0 && errno == ETIMEDOUT && end_ns == wait.deadline.ns;
  errno = saved;
  return late ? 1 : 0;
}

void Wake(void* context, uint32_t* word, uint32_t count) {
  const auto& wait = *static_cast<const CondSleep*>(context);
  const int saved = errno;
  syscall(SYS_futex, word, wait.Operation(FUTEX_WAKE), count, nullptr, nullptr, 0);
  errno = saved;
}

}  // namespace

bool MutexLockUntil(const lockhost_env& env, uint32_t* word, Deadline deadline) {
  if (deadline.clock == LOCKHOST_CLOCK_MONOTONIC) {
    return lockhost_core_mutex_lock_until(&env, word, deadline.ns) != 0;
  }
  for (;;) {
    const uint64_t now_ns = NowNs(CLOCK_REALTIME);
    const uint64_t left_ns = deadline.ns > now_ns ? deadline.ns - now_ns : 0;
    const uint64_t slice_ns = left_ns < kLookAtWallClockNs ? left_ns : kLookAtWallClockNs;
    if (lockhost_core_mutex_lock_until(&env, word, NowNs(CLOCK_MONOTONIC) + slice_ns)) return true;
    if (left_ns == 0) return false;
  }
}

int CondWait(const lockhost_env& env, Sharing sharing, lockhost_cond_t* cond, uint32_t* mutex,
             Deadline deadline) {
  CondSleep wait = {sharing, deadline};
  const lockhost_cond_ops ops = {.context = &wait, .sleep = SleepUntil, .wake = Wake};
  return lockhost_core_cond_wait(&env, &ops, cond, mutex);
}

void CondWake(Sharing sharing, lockhost_cond_t* cond, uint32_t count) {
  CondSleep wait = {sharing, {LOCKHOST_CLOCK_MONOTONIC, UINT64_MAX}};
  const lockhost_cond_ops ops = {.context = &wait, .sleep = SleepUntil, .wake = Wake};
  lockhost_core_cond_wake(&ops, cond, count);
}

}  // namespace lockhost::lock
