// SPDX-License-Identifier: Apache-2.0
//
// The guest's CLOCK_MONOTONIC: TSC to ns, as the kernel's pvclock does it. The lab
// guest runs on the host's own clock (there is no guest kernel to have another one),
// so its times compare with those that BPF and lockhost-guestd write, to about 1 us.
//
// Written by the VMM while all vCPUs are parked, read by the guest.
#ifndef LOCKHOST_TESTS_LAB_ABI_GUEST_CLOCK_H_
#define LOCKHOST_TESTS_LAB_ABI_GUEST_CLOCK_H_

#include <stdint.h>

namespace lockhost::lab {

inline uint64_t ReadTsc() { return __builtin_ia32_rdtsc(); }

struct GuestClock {
  uint64_t base_tsc;
  uint64_t base_ns;
  uint64_t ns_per_tick_q32;  // ns for each tick, times 2^32

  // REQUIRES: tsc >= base_tsc; an earlier one (other CPU, some ticks back) reads as base.
  uint64_t ToNs(uint64_t tsc) const {
    const uint64_t ticks = tsc > base_tsc ? tsc - base_tsc : 0;
    return base_ns + TicksToNs(ticks);
  }

  uint64_t TicksToNs(uint64_t ticks) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(ticks) * ns_per_tick_q32) >> 32);
  }

  uint64_t NsToTicks(uint64_t ns) const {
    if (ns_per_tick_q32 == 0) return 0;
    return static_cast<uint64_t>((static_cast<unsigned __int128>(ns) << 32) / ns_per_tick_q32);
  }
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_ABI_GUEST_CLOCK_H_
