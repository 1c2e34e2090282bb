// SPDX-License-Identifier: Apache-2.0
//
// std::chrono's times as deadlines of the C ABI. Private to spinlock.h and mutex.h.
#ifndef LOCKHOST_CLIENT_LOCK_DEADLINE_H_
#define LOCKHOST_CLIENT_LOCK_DEADLINE_H_

#include <chrono>
#include <cstdint>

namespace lockhost::lock {

// CLOCK_MONOTONIC, which std::chrono::steady_clock is on Linux, in `timeout`; one that is too
// far off to be told never comes.
template <typename Rep, typename Period>
uint64_t DeadlineNs(const std::chrono::duration<Rep, Period>& timeout) {
  using std::chrono::nanoseconds;
  constexpr std::chrono::hours kNever{24 * 365 * 100};
  if (timeout > kNever) return UINT64_MAX;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  if (timeout <= timeout.zero()) return static_cast<uint64_t>(nanoseconds(now).count());
  return static_cast<uint64_t>((now + std::chrono::ceil<nanoseconds>(timeout)).count());
}

// A time of std::chrono::system_clock, which is CLOCK_REALTIME on Linux. One before 1970 is
// past, one that is too far off to be told never comes.
template <typename Duration>
uint64_t WallClockNs(const std::chrono::time_point<std::chrono::system_clock, Duration>& time) {
  const std::chrono::duration<double> seconds = time.time_since_epoch();
  if (seconds.count() <= 0) return 0;
  if (seconds.count() > 9e9) return UINT64_MAX;
  return static_cast<uint64_t>(
      std::chrono::ceil<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_DEADLINE_H_
