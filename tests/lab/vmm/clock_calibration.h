// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_VMM_CLOCK_CALIBRATION_H_
#define LOCKHOST_TESTS_LAB_VMM_CLOCK_CALIBRATION_H_

#include <cstdint>

#include "tests/lab/abi/guest_clock.h"

namespace lockhost::lab {

// One moment on two clocks.
struct ClockPair {
  uint64_t tsc;
  uint64_t ns;  // CLOCK_MONOTONIC
};

// Reads both as closely together as it can.
ClockPair ReadClockPair();

// Measures the TSC against CLOCK_MONOTONIC, from its construction on: the longer ago,
// the better the rate. Not thread-safe.
class ClockCalibration {
 public:
  ClockCalibration();

  // A guest clock that is right now, and for some seconds to come.
  GuestClock Now();

 private:
  ClockPair first_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_VMM_CLOCK_CALIBRATION_H_
