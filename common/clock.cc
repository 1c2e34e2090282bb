// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"

#include <ctime>

namespace lockhost {
namespace {

uint64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

Clock MonotonicClock() { return Clock{&NowNs}; }

}  // namespace lockhost
