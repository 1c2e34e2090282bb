// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/vmm/clock_calibration.h"

#include <ctime>

namespace lockhost::lab {
namespace {

// Shorter baselines would turn the jitter of one reading into a wrong rate.
constexpr uint64_t kShortestBaselineNs = 50'000'000;

uint64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

ClockPair ReadClockPair() {
  ClockPair best = {};
  uint64_t tightest = UINT64_MAX;
  for (int i = 0; i < 64; ++i) {
    const uint64_t before = ReadTsc();
    const uint64_t ns = MonotonicNs();
    const uint64_t after = ReadTsc();
    if (after - before >= tightest) continue;
    tightest = after - before;
    best = {.tsc = before + (after - before) / 2, .ns = ns};
  }
  return best;
}

ClockCalibration::ClockCalibration() : first_(ReadClockPair()) {}

GuestClock ClockCalibration::Now() {
  ClockPair now = ReadClockPair();
  while (now.ns - first_.ns < kShortestBaselineNs) now = ReadClockPair();
  const unsigned __int128 elapsed_ns = now.ns - first_.ns;
  return {.base_tsc = now.tsc,
          .base_ns = now.ns,
          .ns_per_tick_q32 = static_cast<uint64_t>((elapsed_ns << 32) / (now.tsc - first_.tsc))};
}

}  // namespace lockhost::lab
