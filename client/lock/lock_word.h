// SPDX-License-Identifier: Apache-2.0
//
// The lock word: 32 bits, zero when free and nobody sleeps.
//
//   bits 0-15   holder: KVM id of the vCPU on which the lock was taken, plus 1;
//               0 = free; 0xffff = taken on a vCPU that is not known. Says where the
//               holder *was*: it may have migrated, so this is a hint for waiters and
//               never decides who owns the lock.
//   bits 16-29  rotation time: when a sleeper was last relieved (or the first one lay
//               down), in units of 2^18 ns of the platform's clock, modulo 2^14. Only
//               says when a spinner gives its place up.
//   bit 30      heir: somebody is awake on behalf of the sleepers: a waiter that spins, or
//               a sleeper that was woken in its stead. No unlock need wake anybody.
//               Cleared by the heir when it takes the lock, and by whoever goes to sleep.
//               Meaningless without bit 31.
//   bit 31      sleepers: somebody may sleep on the word. Legal to be set for nothing
//               (a kick too many); illegal to be clear while somebody sleeps and nobody
//               is on the way to set it again.
//
// Who has slept takes the lock with the sleepers bit set, because others may still
// sleep; the unlock that finds sleepers without an heir clears the word and wakes one
// (Drepper, "Futexes Are Tricky", mutex 2). With an heir it leaves both bits and wakes
// nobody, as Go's sync.Mutex does. So a busy lock is handed between the few who are awake,
// and those for whom there is no CPU stay asleep. They are not overtaken for ever: once
// kRotateEvery has passed, the heir that spins wakes the oldest sleeper and lies down in
// its stead, which leaves as many awake as before (Dice, "Malthusian Locks", EuroSys 2017).
//
// The word is not touched after the store that frees it: whoever takes the lock next may
// free its memory. An heir bit without an heir (the copy of the word in a forked child)
// misleads nobody: going to sleep clears it.
#ifndef LOCKHOST_CLIENT_LOCK_LOCK_WORD_H_
#define LOCKHOST_CLIENT_LOCK_LOCK_WORD_H_

#include <cstdint>

#include "client/lock/platform.h"

namespace lockhost::lock {

inline constexpr uint32_t kHolderMask = 0xffff;
inline constexpr uint32_t kUnknownHolder = 0xffff;
inline constexpr uint32_t kRotationShift = 16;
inline constexpr uint32_t kRotationMask = 0x3fffu << kRotationShift;
inline constexpr uint32_t kHeir = 1u << 30;
inline constexpr uint32_t kSleepers = 1u << 31;

inline constexpr uint32_t kRotationUnitShift = 18;  // 2^18 ns = 262 us
// Two turns a typical time slice (4 ms): a rotation costs the lock next to nothing, but
// its two switches of a vCPU cost some 100 us of a CPU.
inline constexpr uint32_t kRotateEvery = 8;  // units: 2.1 ms

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

// The sleepers bit with the rotation time `now_ns`.
constexpr uint32_t SleepersSince(uint64_t now_ns) {
  return kSleepers |
         (static_cast<uint32_t>(now_ns >> kRotationUnitShift) << kRotationShift & kRotationMask);
}

// Has no sleeper of `word` been relieved for kRotateEvery? Wraps after 4.3 s: then it
// takes kRotateEvery once more.
constexpr bool RotationIsDue(uint32_t word, uint64_t now_ns) {
  const uint32_t then = word & kRotationMask;
  return ((SleepersSince(now_ns) - then) & kRotationMask) >= kRotateEvery << kRotationShift;
}

// Does somebody sleep for whom nobody is awake?
constexpr bool NeedsHeir(uint32_t word) { return (word & (kSleepers | kHeir)) == kSleepers; }

// The word after the unlock of `held`.
constexpr uint32_t Released(uint32_t held) {
  constexpr uint32_t kBoth = kSleepers | kHeir;
  return (held & kBoth) == kBoth ? held & ~kHolderMask : 0;
}

// Takes the word if it is free, sleepers or not. Acquire order on success.
inline bool TryTakeFree(uint32_t* word, uint32_t tag) {
  uint32_t seen = 0;
  while (!IsHeld(seen)) {
    if (__atomic_compare_exchange_n(word, &seen, seen | tag, /*weak=*/false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      return true;
    }
  }
  return false;
}

// Releases the word, taken with `tag`; release order. True: the caller must wake a sleeper.
inline bool Release(uint32_t* word, uint32_t tag) {
  uint32_t held = tag;  // a guess: to read first would fetch a contended line twice
  while (!__atomic_compare_exchange_n(word, &held, Released(held), /*weak=*/false, __ATOMIC_RELEASE,
                                      __ATOMIC_RELAXED)) {
  }
  return NeedsHeir(held);
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_LOCK_WORD_H_
