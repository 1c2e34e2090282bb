// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_BOOST_SHARES_H_
#define LOCKHOST_TESTS_BENCH_BOOST_SHARES_H_

#include <chrono>

#include "absl/status/statusor.h"
#include "tests/bench/boost/figures.h"
#include "tests/bench/boost/grid.h"

namespace lockhost::bench {

// Long runs in pairs, for what wanders by itself over a second: who has how much CPU time.
struct SharesPlan {
  Cell cell;
  int pairs = 5;
  std::chrono::milliseconds run_time{10'000};
};

// lockhost with the direct page, boosts off and on.
absl::StatusOr<Pairs> MeasureBoostedShares(const SharesPlan& plan, const Say& say);

// A VM whose vCPUs compute all the time, boosts on: without a word about locks, and with report
// words that say that each of its vCPUs holds a lock another one waits for, always.
absl::StatusOr<Pairs> MeasureLies(const SharesPlan& plan, const Say& say);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_BOOST_SHARES_H_
