// SPDX-License-Identifier: Apache-2.0
//
// The word of a robust mutex: 64 bits, of which the low half is the futex.
//
//   bits 0-21    owner: thread id, at most 2^22 on Linux; 0 = free
//   bit 29       in disorder: an owner died, and nobody has said since that the data are in
//                order. Kept by whoever takes the mutex, cleared by consistent().
//   bit 30       lost: released in disorder. Nobody takes it any more.
//   bit 31       sleepers: somebody may sleep on it
//   bits 32-63   when the owner started (/proc/PID/stat, clock ticks since boot, modulo 2^32):
//                one store with the id, so that there is no owner without it.
#ifndef LOCKHOST_CLIENT_LOCK_ROBUST_WORD_H_
#define LOCKHOST_CLIENT_LOCK_ROBUST_WORD_H_

#include <cstddef>
#include <cstdint>

namespace lockhost::lock {

inline constexpr uint64_t kOwnerIdMask = (1u << 22) - 1;
inline constexpr uint64_t kInDisorder = 1u << 29;
inline constexpr uint64_t kLost = 1u << 30;
inline constexpr uint64_t kRobustSleepers = 1u << 31;
inline constexpr uint64_t kOwnerMask = ~uint64_t{0xffffffff} | kOwnerIdMask;

// One thread among all that ever lived since boot.
struct ThreadIdentity {
  uint32_t id;
  uint32_t started;  // as in the word
};

constexpr uint64_t OwnerBits(ThreadIdentity thread) {
  return uint64_t{thread.started} << 32 | (thread.id & kOwnerIdMask);
}
constexpr ThreadIdentity OwnerOf(uint64_t word) {
  return {static_cast<uint32_t>(word & kOwnerIdMask), static_cast<uint32_t>(word >> 32)};
}
constexpr bool IsOwned(uint64_t word) { return (word & kOwnerIdMask) != 0; }

// What /proc/PID/stat says of a thread.
struct ThreadStat {
  bool valid;  // false: the text is not such a file's
  char state;
  uint32_t started;
};
ThreadStat ParseThreadStat(const char* text, size_t size);

// Is `text`, the stat file of whoever has the owner's id now, that of the owner, and does it
// live? A text that cannot be read as such a file says nothing against it.
bool IsAlive(ThreadIdentity owner, const char* text, size_t size);

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_ROBUST_WORD_H_
