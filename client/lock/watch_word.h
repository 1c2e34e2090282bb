// SPDX-License-Identifier: Apache-2.0
//
// Whether somebody works on a lock, by what it costs to look at it.
#ifndef LOCKHOST_CLIENT_LOCK_WATCH_WORD_H_
#define LOCKHOST_CLIENT_LOCK_WATCH_WORD_H_

#include <cstdint>

#include "client/lock/lock_word.h"

namespace lockhost::lock {

// A line that lies in the reader's own cache takes about 20 ticks of the TSC, with the two
// readings; one that another CPU has written 100 to 1,000. On the siblings of one core it is
// always its own.
inline constexpr uint64_t kFetchTicks = 100;

// Reads the word, relaxed. Nonzero, ticks of the TSC, if its cache line was somebody else's: he has
// written there since the caller last looked, hence runs. Legal to be missed; legal to be said for
// nothing, where the reader lost its CPU meanwhile, or the line holds other data, too. Says nothing
// of a free word: who sees one has better to do.
inline uint32_t WatchWord(const uint32_t* word, uint32_t* seen) {
  uint32_t cpu = 0;
  const uint64_t begin = __builtin_ia32_rdtsc();
  *seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  if (!IsHeld(*seen)) return 0;
  const uint64_t ticks = __builtin_ia32_rdtscp(&cpu) - begin;  // waits for the load
  return ticks > kFetchTicks ? static_cast<uint32_t>(ticks) : 0;
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_WATCH_WORD_H_
