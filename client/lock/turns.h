// SPDX-License-Identifier: Apache-2.0
//
// Whether to take a contended lock over as soon as it is free.
//
// To hand a lock over costs it the time that a few cache lines take from one CPU to another. If
// the holder stays away for longer than that, a waiter should be there at the very release, for
// meanwhile nobody has the lock. If the holder is back sooner, the lock does more where it stays
// with whoever has its data in the cache. How long others stay away a waiter cannot see; but it
// knows how long it does itself, and those who want one lock are much alike. It costs a few turns
// two readings of the clock, and all others two branches.
#ifndef LOCKHOST_CLIENT_LOCK_TURNS_H_
#define LOCKHOST_CLIENT_LOCK_TURNS_H_

#include "client/lock/platform.h"

namespace lockhost::lock {

// Of the first of so many waits for a lock ...
inline constexpr uint32_t kWaitsBetweenNotes = 64;
// ... so many turns that follow are noted. Nobody looks at the clock for a lock that is contended
// no more, nor often for one that is.
inline constexpr uint32_t kNotedTurns = 16;
// A hand-over fetches the word twice, and the guarded data; but who keeps the lock has some to do,
// too. In halves.
inline constexpr uint32_t kHalfFetchesAHandOver = 3;
// A gap or a fetch in which the thread lost its CPU counts for no more than this.
inline constexpr uint64_t kLongestGapTicks = 1u << 14;
inline constexpr uint32_t kLongestFetchTicks = 1u << 11;

inline void Average(uint32_t* average, uint32_t sample) {
  *average = *average == 0 ? sample : *average - *average / 4 + sample / 4;
}

// What it took to fetch the line of a lock that is held.
inline void NoteFetch(lockhost_turns& turns, uint32_t ticks) {
  Average(&turns.fetch_ticks, ticks < kLongestFetchTicks ? ticks : kLongestFetchTicks);
}

// The thread has waited for the lock, and got it.
inline void NoteTaken(lockhost_turns& turns, const uint32_t* word) {
  if (turns.word != word) turns.waits = turns.gap_ticks = 0;
  turns.word = word;
  turns.released_ticks = 0;
  if (turns.waits++ % kWaitsBetweenNotes == 0) turns.noted = kNotedTurns;
}

// To be called with what follows only if so.
inline bool IsNoted(const lockhost_turns& turns) { return turns.noted != 0; }

// The thread has released a lock.
inline void NoteRelease(lockhost_turns& turns, const uint32_t* word, uint64_t now_ticks) {
  if (turns.word == word) turns.released_ticks = now_ticks;
}

// The thread is about to take a lock.
inline void NoteAttempt(lockhost_turns& turns, const uint32_t* word, uint64_t now_ticks) {
  if (turns.word != word || turns.released_ticks == 0) return;
  const uint64_t gap = now_ticks - turns.released_ticks;
  Average(&turns.gap_ticks, static_cast<uint32_t>(gap < kLongestGapTicks ? gap : kLongestGapTicks));
  turns.released_ticks = 0;
  --turns.noted;
}

// Whether a waiter for the lock is to be there when it is released.
inline bool TakesOverAtOnce(const lockhost_turns& turns, const uint32_t* word) {
  return turns.word == word && turns.fetch_ticks != 0 &&
         2 * turns.gap_ticks > kHalfFetchesAHandOver * turns.fetch_ticks;
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_TURNS_H_
