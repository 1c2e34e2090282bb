// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_PLOTS_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_PLOTS_H_

#include <string>
#include <vector>

#include "tests/bench/locks/output.h"

namespace lockhost::bench {

// A picture as a gnuplot script with the data inside, which writes NAME.png where it runs.
struct Plot {
  std::string name;
  std::string script;
};

// All locks of a workload on each picture: throughput and p99.9 acquire against overcommit,
// one for each critical section; nanoseconds alone. Workloads without rows have none.
std::vector<Plot> PlotsOf(const Setting& setting, const std::vector<Row>& rows);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_PLOTS_H_
