// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_COMMON_BACKOFF_H_
#define LOCKHOST_COMMON_BACKOFF_H_

#include <cstdint>

namespace lockhost {

// How long to wait before the next attempt to connect: exponential with full jitter
// (a uniform pick from [0, ceiling], the ceiling doubling with each failure), so that
// many peers that lost the same host do not come back in step. Source: "Exponential
// Backoff And Jitter", AWS Architecture Blog, 2015.
//
// Pure: no clock, no entropy of its own; the caller gives the seed. Not thread-safe.
class Backoff {
 public:
  struct Limits {
    uint64_t first_ceiling_ns = 100'000'000;
    uint64_t last_ceiling_ns = 10'000'000'000;
  };

  // Limits out of order are taken as `last_ceiling_ns` for both.
  Backoff(Limits limits, uint64_t seed);

  // The wait before the next attempt; doubles the ceiling for the one after.
  uint64_t NextDelayNs();

  // An attempt succeeded.
  void Reset() { ceiling_ns_ = limits_.first_ceiling_ns; }

  uint64_t ceiling_ns() const { return ceiling_ns_; }

 private:
  Limits limits_;
  uint64_t ceiling_ns_;
  uint64_t random_;
};

}  // namespace lockhost

#endif  // LOCKHOST_COMMON_BACKOFF_H_
