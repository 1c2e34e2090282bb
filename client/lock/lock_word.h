// SPDX-License-Identifier: Apache-2.0
//
// The lock word: 32 bits, zero when free.
//
//   bits 0-15   holder: KVM id of the vCPU on which the lock was taken, plus 1;
//               0 = free; 0xffff = taken on a vCPU that is not known. Says where the
//               holder *was*: it may have migrated, so this is a hint for waiters and
//               never decides who owns the lock.
//   bits 16-30  zero
//   bit 31      sleepers: somebody may sleep on the word. Legal to be set for nothing
//               (one kick too many); illegal to be clear while somebody sleeps and
//               nobody is on the way to set it again.
//
// Invariant of the sleepers bit (Drepper, "Futexes Are Tricky", mutex 2): whoever
// has slept takes the lock with the bit set, because others may still sleep; the
// unlock that finds it set wakes one.
#ifndef LOCKHOST_CLIENT_LOCK_LOCK_WORD_H_
#define LOCKHOST_CLIENT_LOCK_LOCK_WORD_H_

#include <cstdint>

#include "client/lock/platform.h"

namespace lockhost::lock {

inline constexpr uint32_t kHolderMask = 0xffff;
inline constexpr uint32_t kUnknownHolder = 0xffff;
inline constexpr uint32_t kSleepers = 1u << 31;

static_assert(LOCKHOST_MAX_SLOTS < kUnknownHolder);

// The holder bits of a lock taken on `vcpu`; never 0.
constexpr uint32_t HolderTag(uint32_t vcpu) {
  return vcpu < kUnknownHolder - 1 ? vcpu + 1 : kUnknownHolder;
}

constexpr bool IsHeld(uint32_t word) { return (word & kHolderMask) != 0; }

// REQUIRES: IsHeld(word).
constexpr uint32_t HolderVcpu(uint32_t word) {
  const uint32_t tag = word & kHolderMask;
  return tag == kUnknownHolder ? LOCKHOST_UNKNOWN_VCPU : tag - 1;
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_LOCK_WORD_H_
