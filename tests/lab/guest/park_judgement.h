// SPDX-License-Identifier: Apache-2.0
//
// What page and oracle said of the awaited holder while a waiter slept, read back from
// the stamps that they bear when it wakes. Pure.
#ifndef LOCKHOST_TESTS_LAB_GUEST_PARK_JUDGEMENT_H_
#define LOCKHOST_TESTS_LAB_GUEST_PARK_JUDGEMENT_H_

#include <stdint.h>

namespace lockhost::lab {

// Times in CLOCK_MONOTONIC ns. "Off": off its CPU.
struct ParkView {
  uint64_t begin_ns;
  uint64_t end_ns;
  bool truth_off;             // at the beginning
  bool believed_off;          // at the beginning
  bool truth_runs;            // at the end
  uint64_t truth_stopped_ns;  // stamps of the oracle's slot at the end
  uint64_t truth_since_ns;
  uint64_t page_stopped_ns;  // stamp of the page's slot at the end
  // How long a holder that is back may stay unnoticed: it refutes the hint when it next
  // touches a lock, at the latest at the end of its critical section. 0: not at all.
  uint64_t unnoticed_ns;
};

struct ParkJudgement {
  bool known;                   // false: the stamps of the beginning are overwritten
  uint64_t false_running_ns;    // the page let it run while it was off
  uint64_t false_preempted_ns;  // the page held it to be off while it ran
};

inline uint64_t AtMost(uint64_t limit, uint64_t value) { return value < limit ? value : limit; }

// The page that was wrong at the beginning put itself right when it was written, if that
// was during the sleep; otherwise the whole sleep counts as wrong. If the holder has
// stopped once more since, the page's stamp is of that other time.
inline ParkJudgement JudgeStopped(const ParkView& park) {
  uint64_t told_ns = park.begin_ns;
  if (!park.believed_off) {
    const bool again = park.truth_stopped_ns >= park.begin_ns;
    const bool told = park.page_stopped_ns >= park.begin_ns && park.page_stopped_ns < park.end_ns;
    if (again && !(told && park.page_stopped_ns < park.truth_stopped_ns)) return {false, 0, 0};
    told_ns = told ? park.page_stopped_ns : park.end_ns;
  }
  return {true, told_ns - park.begin_ns,
          park.truth_runs ? AtMost(park.unnoticed_ns, park.end_ns - told_ns) : 0};
}

// It ran at first and was believed to; it may have stopped since.
inline ParkJudgement JudgeRunning(const ParkView& park) {
  const uint64_t stopped_ns = park.truth_stopped_ns;
  if (stopped_ns < park.begin_ns || stopped_ns >= park.end_ns) return {true, 0, 0};
  const uint64_t back_ns =
      park.truth_runs && park.truth_since_ns > stopped_ns ? park.truth_since_ns : park.end_ns;
  const uint64_t until_ns = AtMost(back_ns, park.end_ns);
  const bool told = park.page_stopped_ns >= stopped_ns && park.page_stopped_ns < until_ns;
  return {true, (told ? park.page_stopped_ns : until_ns) - stopped_ns, 0};
}

inline ParkJudgement JudgePark(const ParkView& park) {
  if (park.end_ns <= park.begin_ns) return {true, 0, 0};
  if (park.truth_off) return JudgeStopped(park);
  if (!park.believed_off) return JudgeRunning(park);
  return {true, 0, AtMost(park.unnoticed_ns, park.end_ns - park.begin_ns)};
}

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_GUEST_PARK_JUDGEMENT_H_
