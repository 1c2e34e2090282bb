// SPDX-License-Identifier: Apache-2.0
//
// From samples to rows, and from rows to what is claimed: pure functions.
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_RESULTS_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_RESULTS_H_

#include <optional>
#include <string>
#include <vector>

#include "tests/bench/locks/sample.h"

namespace lockhost::bench {

struct MeanAndDeviation {
  double mean = 0;
  double stddev = 0;  // of the sample
};
MeanAndDeviation Describe(const std::vector<double>& values);

// What the host's scheduler knows of those who waited, over all runs; kLab alone.
struct Waste {
  uint64_t cpu_ns = 0;          // of all vCPUs
  uint64_t wasted_spin_ns = 0;  // of this, spinning while the holder did not run
  uint64_t parks = 0;
  uint64_t false_parks = 0;  // while the holder ran, and held on

  double wasted_spin_share() const;
  double false_park_share() const;
  // Share of the CPU time that wasted spins took and false parks cost.
  double share() const;
};

// One lock in one cell, over all runs.
struct Row {
  Cell cell;
  std::string subject = {};
  bool ours = false;
  std::vector<double> ops_per_s = {};  // a run each
  std::vector<double> ns_per_op = {};  // uncontended alone
  std::vector<double> fairness = {};
  std::vector<double> spin_cpu_share = {};
  lab::Histogram acquire_ns = {};
  std::optional<Waste> waste = std::nullopt;

  void Add(const Sample& sample);
  double ops() const { return Describe(ops_per_s).mean; }
};

// How the lock `subject` compares with its peers in one workload.
struct Summary {
  Workload workload = Workload::kThreads;
  std::string subject = {};
  double worst_ratio_to_best_peer = 0;  // in some cell, to the peer that is best there
  std::string worst_cell = {};
  std::string best_peer_of_worst_cell = {};
  int cells = 0;
  int cells_below_095 = 0;
  std::string best_single_peer = {};      // by geometric mean over all cells
  double geomean_ratio_to_best_peer = 0;  // to that single one
  double geomean_ratio_to_best_of_each_cell = 0;
  double worst_fairness = 0;  // with two threads or more that always want the one lock
  // Below the best peer by more than one standard deviation of the difference.
  int cells_below_by_a_deviation = 0;
  double worst_p999_to_best_peer = 0;  // acquire time, to that of the peer of most throughput
  std::string worst_p999_cell = {};
};

// Rows of other workloads are passed over. REQUIRES: every cell has all the locks.
Summary Summarise(Workload workload, const std::string& subject, const std::vector<Row>& rows);

// What a lock with hints wastes, to what the same lock wastes without, over the cells in which
// there are more vCPUs and hogs than CPUs; sums of shares. Empty: a row is missing.
struct WasteRatio {
  int cells = 0;
  Waste with = {};
  Waste without = {};
  double throughput_ratio = 0;  // geometric mean
};
std::optional<WasteRatio> CompareWaste(const std::string& with, const std::string& without,
                                       long cpus, const std::vector<Row>& rows);

// Of the row of `subject` to that of `other` in `cell`, by throughput; 0 if one is missing.
double RatioIn(const Cell& cell, const std::string& subject, const std::string& other,
               const std::vector<Row>& rows);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_RESULTS_H_
