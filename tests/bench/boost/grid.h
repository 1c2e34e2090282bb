// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_BOOST_GRID_H_
#define LOCKHOST_TESTS_BENCH_BOOST_GRID_H_

#include <chrono>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "tests/bench/boost/company.h"
#include "tests/bench/boost/figures.h"
#include "tests/bench/boost/vm_under_test.h"

namespace lockhost::bench {

// Short runs of many locks in many cells.
struct GridPlan {
  std::vector<Cell> cells;
  std::vector<lab::Subject> subjects;
  uint64_t gap_ns = kGapNs;
  int runs = 5;
  std::chrono::milliseconds run_time{800};
};

// Told what comes next.
using Say = std::function<void(const std::string&)>;

// In each cell all locks in turn, run by run, so that what the machine does besides hits all
// alike. Adds to `rows`. REQUIRES: cells with the same overcommit lie together.
absl::Status MeasureGrid(const GridPlan& plan, const Say& say, std::vector<Row>& rows);

// Holders whose preemption the agent is told of by gRPC alone, in that cell; empty: this build
// boosts none of them.
absl::StatusOr<lab::Histogram> MeasureGrpcHolderBack(const Cell& cell,
                                                     std::chrono::milliseconds time);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_BOOST_GRID_H_
