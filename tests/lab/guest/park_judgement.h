// SPDX-License-Identifier: Apache-2.0
//
// What page and oracle said of the awaited holder while a waiter slept, read back from
// the stamps that they bear when it wakes. Pure.
#ifndef LOCKHOST_TESTS_LAB_GUEST_PARK_JUDGEMENT_H_
#define LOCKHOST_TESTS_LAB_GUEST_PARK_JUDGEMENT_H_

#include <stdint.h>

namespace lockhost::lab {

// Times in CLOCK_MONOTONIC ns. "Off": off its CPU. "The hold": the holder's hold of the
// lock at the beginning, known by its report word.
struct ParkView {
  uint64_t begin_ns;
  uint64_t end_ns;
  bool truth_off;             // at the beginning
  bool believed_off;          // at the beginning
  bool truth_runs;            // at the end
  bool held_on;               // the hold lasts still at the end
  bool stopped_holding;       // the last stop that the oracle knows was within the hold
  uint64_t truth_stopped_ns;  // stamps of the oracle's slot at the end
  uint64_t truth_since_ns;
  uint64_t page_stopped_ns;  // stamp of the page's slot at the end
  uint64_t critical_ns;      // a holder that runs releases the lock within this
  // How long a holder that is back may stay unnoticed: it refutes the hint when it next
  // touches a lock, at the latest at the end of its critical section. 0: not at all.
  uint64_t unnoticed_ns;
};

struct ParkJudgement {
  bool known;                   // false: the stamps of the beginning are overwritten
  uint64_t waited_ns;           // of the sleep, the time until that holder released the lock
  uint64_t false_running_ns;    // of this, the page let it run while it was off
  uint64_t false_preempted_ns;  // of this, the page held it to be off while it ran
};

inline uint64_t AtMost(uint64_t limit, uint64_t value) { return value < limit ? value : limit; }
inline uint64_t Between(uint64_t from, uint64_t to) { return to > from ? to - from : 0; }

// A sleeper may sleep on for long after its holder has released the lock to others.
// `runs_ns`: since when the holder runs.
inline uint64_t WaitedUntil(const ParkView& park, uint64_t runs_ns) {
  return park.held_on ? park.end_ns : AtMost(park.end_ns, runs_ns + park.critical_ns);
}

// The page that was wrong at the beginning put itself right when it was written.
inline ParkJudgement JudgeStopped(const ParkView& park) {
  if (park.truth_stopped_ns >= park.begin_ns) return {false, 0, 0, 0};
  const uint64_t back_ns = park.truth_runs ? AtMost(park.end_ns, park.truth_since_ns) : park.end_ns;
  const uint64_t until_ns = WaitedUntil(park, back_ns);
  const bool told = park.page_stopped_ns >= park.begin_ns && park.page_stopped_ns < back_ns;
  const uint64_t told_ns =
      park.believed_off ? park.begin_ns : (told ? park.page_stopped_ns : back_ns);
  const bool was_told = park.believed_off || told;
  return {true, Between(park.begin_ns, until_ns), Between(park.begin_ns, told_ns),
          was_told ? AtMost(park.unnoticed_ns, Between(back_ns, until_ns)) : 0};
}

// It ran at first and was believed to; it may have stopped before it released the lock.
inline ParkJudgement JudgeRunning(const ParkView& park) {
  const uint64_t stopped_ns = park.truth_stopped_ns;
  if (!park.stopped_holding || stopped_ns < park.begin_ns || stopped_ns >= park.end_ns) {
    return {true, Between(park.begin_ns, WaitedUntil(park, park.begin_ns)), 0, 0};
  }
  const bool back = park.truth_runs && park.truth_since_ns > stopped_ns;
  const uint64_t back_ns = back ? AtMost(park.end_ns, park.truth_since_ns) : park.end_ns;
  const bool told = park.page_stopped_ns >= stopped_ns && park.page_stopped_ns < back_ns;
  return {true, Between(park.begin_ns, WaitedUntil(park, back_ns)),
          (told ? park.page_stopped_ns : back_ns) - stopped_ns, 0};
}

inline ParkJudgement JudgePark(const ParkView& park) {
  if (park.end_ns <= park.begin_ns) return {true, 0, 0, 0};
  if (park.truth_off) return JudgeStopped(park);
  if (!park.believed_off) return JudgeRunning(park);
  const uint64_t waited_ns = Between(park.begin_ns, WaitedUntil(park, park.begin_ns));
  return {true, waited_ns, 0, AtMost(park.unnoticed_ns, waited_ns)};
}

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_GUEST_PARK_JUDGEMENT_H_
