// SPDX-License-Identifier: Apache-2.0
#include "common/backoff.h"

#include <algorithm>

namespace lockhost {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): one word of state, good enough to spread.
uint64_t NextRandom(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Backoff::Backoff(Limits limits, uint64_t seed)
    : limits_{std::min(limits.first_ceiling_ns, limits.last_ceiling_ns), limits.last_ceiling_ns},
      ceiling_ns_(limits_.first_ceiling_ns),
      random_(seed) {}

uint64_t Backoff::NextDelayNs() {
  const uint64_t ceiling = ceiling_ns_;
  // The last ceiling is configured in seconds: doubling below it cannot overflow.
  ceiling_ns_ = ceiling > limits_.last_ceiling_ns / 2 ? limits_.last_ceiling_ns : 2 * ceiling;
  return ceiling == UINT64_MAX ? NextRandom(&random_) : NextRandom(&random_) % (ceiling + 1);
}

}  // namespace lockhost
