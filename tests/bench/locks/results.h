// SPDX-License-Identifier: Apache-2.0
//
// From samples to rows, and from rows to what is claimed: pure functions.
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_RESULTS_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_RESULTS_H_

#include <string>
#include <vector>

#include "tests/bench/locks/sample.h"

namespace lockhost::bench {

struct MeanAndDeviation {
  double mean = 0;
  double stddev = 0;  // of the sample
};
MeanAndDeviation Describe(const std::vector<double>& values);

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
};

// Rows of other workloads are passed over. REQUIRES: every cell has all the locks.
Summary Summarise(Workload workload, const std::string& subject, const std::vector<Row>& rows);

// Of the row of `subject` to that of `other` in `cell`, by throughput; 0 if one is missing.
double RatioIn(const Cell& cell, const std::string& subject, const std::string& other,
               const std::vector<Row>& rows);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_RESULTS_H_
