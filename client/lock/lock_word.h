// SPDX-License-Identifier: Apache-2.0
//
// The lock word: 32 bits, zero when free and nobody sleeps.
//
//   bits 0-14   holder: KVM id of the vCPU on which the lock was taken, plus 1;
//               0 = free; 0x7fff = taken on a vCPU that is not known. Says where the
//               holder *was*: it may have migrated, so this is a hint for waiters and
//               never decides who owns the lock.
//               Where the process has a thread page (client/page/thread_page.h) it is the
//               holder's thread slot plus 1, and the page says where that thread is. Of a word
//               taken before the page came, or since it went, the wrong one of the two is read,
//               until it is taken again.
//   bit 15      native: taken by native operations, on a vCPU that is not told. All the
//               other bits above are clear, and no waiter sets any.
//   bits 16-28  claim time: when the lock was last claimed (or the first sleeper lay down), in
//               units of 2^18 ns of the platform's clock, modulo 2^13. Only says when it may
//               be claimed again.
//   bit 29      claimed: a waiter that has waited for long is to have the lock next. Whoever
//               else finds the word free leaves it alone for kClaimHoldsNs, then takes it all
//               the same: the claimant may have lost its CPU. Legal to be lost, legal to be set
//               though nobody claims any more.
//   bit 30      heir: somebody may sleep on the word, and somebody else is awake on behalf
//               of the sleepers: a waiter that spins, or a sleeper that was woken in its
//               stead. No unlock need wake anybody. Ends when the heir takes the lock, and
//               when anybody goes to sleep: then bit 31 takes its place.
//   bit 31      orphans: somebody may sleep on the word, and nobody is awake on their
//               behalf. The unlock that finds it wakes one.
//
// At most one of the two bits is set. Both may be set for nothing (a kick too many);
// illegal is neither while somebody sleeps and nobody is on the way to set one again.
//
// Who has slept takes the lock with the orphans bit set, because others may still sleep
// (Drepper, "Futexes Are Tricky", mutex 2). An unlock clears the holder and nothing else; a
// free word with orphans is one for which a kick is under way, so whoever takes it takes it
// as if it were zero, and the sleeper that was woken sets the bit again. With an heir nobody
// is woken, as in Go's sync.Mutex. So a busy lock is handed between the few who are awake,
// and those for whom there is no CPU stay asleep (Dice, "Malthusian Locks", EuroSys 2017). They
// are not overtaken for ever: once in kClaimEvery the heir claims the lock, and when it unlocks,
// the oldest sleeper becomes the next heir (Go's starvation mode, but for one hand-over only).
//
// An unlock need know nothing of the word: one atomic operation clears the holder and says
// by its sign whether to kick. To read the word first, or to guess it, costs a third more.
// The word is not touched after it is free: whoever takes the lock next may free its memory.
//
// Native operations: only a word that is zero is taken so, and a plain store of zero frees it.
// It would wipe out a bit that somebody set meanwhile; so nobody does, and nobody sleeps on
// such a word but for a time of his own ("nap"). Its holder knows by the word's address in its
// own memory (lockhost_thread.native_word) that it took it so: to read the word again costs
// more than all the rest of an unlock. Where sleepers are known of the word is not zero, so that
// their lock is taken by paravirtual operations until the last of them has had it.
//
// An heir bit without an heir (the copy of the word in a forked child) misleads nobody: going
// to sleep ends it.
#ifndef LOCKHOST_CLIENT_LOCK_LOCK_WORD_H_
#define LOCKHOST_CLIENT_LOCK_LOCK_WORD_H_

#include <cstdint>

#include "client/lock/platform.h"

namespace lockhost::lock {

inline constexpr uint32_t kHolderMask = 0xffff;
inline constexpr uint32_t kUnknownHolder = 0x7fff;
inline constexpr uint32_t kNativeBit = 0x8000;
inline constexpr uint32_t kNativeHolder = kNativeBit | kUnknownHolder;
inline constexpr uint32_t kClaimTimeShift = 16;
inline constexpr uint32_t kClaimTimeMask = 0x1fffu << kClaimTimeShift;
inline constexpr uint32_t kClaimed = 1u << 29;
inline constexpr uint32_t kHeir = 1u << 30;
inline constexpr uint32_t kOrphans = 1u << 31;
inline constexpr uint32_t kSleepers = kHeir | kOrphans;  // a mask: somebody may sleep

inline constexpr uint32_t kClaimUnitShift = 18;  // 2^18 ns = 262 us
// Two turns a typical time slice (4 ms): a hand-over costs the lock next to nothing, but the
// switches of a vCPU that come with it cost some 100 us of a CPU.
inline constexpr uint32_t kClaimEvery = 8;  // units: 2.1 ms
// Longer than a waiter that runs takes to see that the word is free, and a hundredth of the time
// between two claims: all that a claimant without a CPU can cost.
inline constexpr uint64_t kClaimHoldsNs = 20'000;

static_assert(LOCKHOST_MAX_SLOTS < kUnknownHolder);
static_assert(LOCKHOST_MAX_THREAD_SLOTS < kUnknownHolder);

// The holder bits of a lock taken on `vcpu`; never 0.
constexpr uint32_t HolderTag(uint32_t vcpu) {
  return vcpu < kUnknownHolder - 1 ? vcpu + 1 : kUnknownHolder;
}

// The holder bits of a lock that the thread takes on `vcpu`; never 0.
inline uint32_t OwnTag(const lockhost_env& env, const lockhost_thread& self, uint32_t vcpu) {
  if (lockhost_thread_slots(env.threads) == 0) return HolderTag(vcpu);
  return self.number != 0 ? self.number : kUnknownHolder;
}

constexpr bool IsHeld(uint32_t word) { return (word & kHolderMask) != 0; }

constexpr bool IsHeldNatively(uint32_t word) { return (word & kNativeBit) != 0; }

// The vCPU, or the thread slot, that the word names; LOCKHOST_UNKNOWN_VCPU: none. Whoever may
// write the word may have written any number. REQUIRES: IsHeld(word).
constexpr uint32_t HolderName(uint32_t word) {
  const uint32_t tag = word & kHolderMask & ~kNativeBit;
  return tag == kUnknownHolder ? LOCKHOST_UNKNOWN_VCPU : tag - 1;
}

// The claim time `now_ns`.
constexpr uint32_t ClaimedAt(uint64_t now_ns) {
  return static_cast<uint32_t>(now_ns >> kClaimUnitShift) << kClaimTimeShift & kClaimTimeMask;
}

constexpr bool IsClaimed(uint32_t word) { return (word & kClaimed) != 0; }

constexpr bool HasSleepers(uint32_t word) { return (word & kSleepers) != 0; }

// Does somebody sleep for whom nobody is awake?
constexpr bool HasOrphans(uint32_t word) { return (word & kOrphans) != 0; }

// `word` with sleepers, and nobody awake for them. They begin to wait now if there were none.
constexpr uint32_t WithOrphans(uint32_t word, uint64_t now_ns) {
  if (HasSleepers(word)) return (word & ~kHeir) | kOrphans;
  return (word & (kHolderMask | kClaimed)) | kOrphans | ClaimedAt(now_ns);
}

// Has `word` sleepers, and not been claimed for kClaimEvery? Wraps after 2.1 s: then it takes
// kClaimEvery once more.
constexpr bool ClaimIsDue(uint32_t word, uint64_t now_ns) {
  const uint32_t then = word & kClaimTimeMask;
  return HasSleepers(word) &&
         ((ClaimedAt(now_ns) - then) & kClaimTimeMask) >= kClaimEvery << kClaimTimeShift;
}

// What of the free word `seen` stays when somebody takes it who has not slept: nothing, unless
// somebody is awake for those who sleep.
constexpr uint32_t LeftToTaker(uint32_t seen) { return (seen & kHeir) != 0 ? seen & ~kClaimed : 0; }

// As the next, for a word that was not zero but `seen`.
[[gnu::noinline]] inline bool TryTakeWithSleepers(uint32_t* word, uint32_t seen, uint32_t tag) {
  while (!IsHeld(seen) && !IsClaimed(seen)) {
    if (__atomic_compare_exchange_n(word, &seen, LeftToTaker(seen) | tag, /*weak=*/false,
                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
      return true;
    }
  }
  return false;
}

// Takes the word if it is free, claimed or not: for who does not wait. Acquire order on success.
[[gnu::noinline]] inline bool TryTakePastClaim(uint32_t* word, uint32_t tag) {
  uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  while (!IsHeld(seen)) {
    if (__atomic_compare_exchange_n(word, &seen, LeftToTaker(seen) | tag, /*weak=*/false,
                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
      return true;
    }
  }
  return false;
}

// Takes the word if it is free and not claimed, sleepers or not. Acquire order on success.
[[gnu::always_inline]] inline bool TryTakeFree(uint32_t* word, uint32_t tag) {
  uint32_t seen = 0;
  if (__builtin_expect(__atomic_compare_exchange_n(word, &seen, tag, /*weak=*/false,
                                                   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
                       1)) {
    return true;
  }
  return TryTakeWithSleepers(word, seen, tag);
}

// Releases the word; release order. True: the caller must wake a sleeper.
inline bool Release(uint32_t* word) {
  static_assert(kOrphans == 1u << 31, "the sign");
  auto* as_signed = reinterpret_cast<int32_t*>(word);
  return __atomic_and_fetch(as_signed, static_cast<int32_t>(~kHolderMask), __ATOMIC_RELEASE) < 0;
}

// Takes the word by native operations if it is zero; acquire order. False: *seen is what it is
// instead, or zero where the thread holds another lock natively, since it remembers but one.
inline bool TryTakeNatively(uint32_t* word, lockhost_thread& self, uint32_t* seen) {
  *seen = 0;
  if (self.native_word != nullptr) return false;
  if (!__atomic_compare_exchange_n(word, seen, kNativeHolder, /*weak=*/false, __ATOMIC_ACQUIRE,
                                   __ATOMIC_RELAXED)) {
    return false;
  }
  self.native_word = word;
  return true;
}

// Releases the word, release order, if the thread took it natively.
inline bool ReleaseNatively(uint32_t* word, lockhost_thread& self) {
  if (self.native_word != word) return false;
  self.native_word = nullptr;
  __atomic_store_n(word, 0, __ATOMIC_RELEASE);
  return true;
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_LOCK_WORD_H_
