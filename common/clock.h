// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_COMMON_CLOCK_H_
#define LOCKHOST_COMMON_CLOCK_H_

#include <cstdint>

namespace lockhost {

// The only seam for time. Functions, not a base class: daemons are handed
// `MonotonicClock()`, tests hand in their own. Thread-safe.
struct Clock {
  // CLOCK_MONOTONIC, in ns; the clock that BPF's bpf_ktime_get_ns() reads.
  uint64_t (*now_ns)();
};

Clock MonotonicClock();

}  // namespace lockhost

#endif  // LOCKHOST_COMMON_CLOCK_H_
