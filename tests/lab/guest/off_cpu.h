// SPDX-License-Identifier: Apache-2.0
//
// From when until when a slot's writer held the vCPU to be off its CPU, read back from
// the stamps: how a waiter that slept learns what page and table said meanwhile. Pure.
#ifndef LOCKHOST_TESTS_LAB_GUEST_OFF_CPU_H_
#define LOCKHOST_TESTS_LAB_GUEST_OFF_CPU_H_

#include <stdint.h>

#include "client/page/hint_page.h"

namespace lockhost::lab {

// [from_ns, until_ns), CLOCK_MONOTONIC.
struct Span {
  uint64_t from_ns;
  uint64_t until_ns;
};

inline uint64_t Length(const Span& span) {
  return span.until_ns > span.from_ns ? span.until_ns - span.from_ns : 0;
}

inline Span Clip(const Span& span, const Span& within) {
  return {span.from_ns > within.from_ns ? span.from_ns : within.from_ns,
          span.until_ns < within.until_ns ? span.until_ns : within.until_ns};
}

inline uint64_t Overlap(const Span& a, const Span& b) { return Length(Clip(a, b)); }

// The last time off the CPU, cut to `within`; empty if there was none. Of several within
// `within` only the last is known: the earlier ones count as running on either side.
inline Span OffCpu(const lockhost_hint_slot& slot, const Span& within) {
  const uint64_t word = __atomic_load_n(&slot.state_word, __ATOMIC_ACQUIRE);
  const uint64_t stopped_ns = __atomic_load_n(&slot.stopped_ns, __ATOMIC_RELAXED);
  const uint64_t since_ns = __atomic_load_n(&slot.since_ns, __ATOMIC_RELAXED);
  const uint32_t state = lockhost_state_of(word);
  if (state == LOCKHOST_RUN_STATE_UNSPECIFIED) return {within.from_ns, within.from_ns};
  const bool runs = state == LOCKHOST_RUN_STATE_RUNNING;
  return Clip({stopped_ns, runs ? since_ns : within.until_ns}, within);
}

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_GUEST_OFF_CPU_H_
