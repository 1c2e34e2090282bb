// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_HARNESS_SUMMARY_H_
#define LOCKHOST_TESTS_LAB_HARNESS_SUMMARY_H_

#include <optional>
#include <string>
#include <vector>

#include "tests/lab/harness/runner.h"

namespace lockhost::lab {

struct MeanAndDeviation {
  double mean = 0;
  double stddev = 0;  // of the sample; 0 for fewer than two values
};
MeanAndDeviation Summarise(const std::vector<double>& values);

// part / whole; 0 when there was no whole.
double Share(double part, double whole);

// All runs of one subject in one cell. Absent: nobody could tell (no oracle).
class Summary {
 public:
  void Add(const RunResult& run);

  size_t runs() const { return throughputs_.size(); }
  const std::vector<double>& throughputs() const { return throughputs_; }
  MeanAndDeviation throughput() const { return Summarise(throughputs_); }
  double fairness() const { return Summarise(fairness_).mean; }
  const Histogram& acquire_ns() const { return sum_.acquire_ns; }
  const Histogram& delivery_ns() const { return sum_.delivery_ns; }
  std::optional<uint64_t> lock_holder_preemptions() const { return sum_.lock_holder_preemptions; }
  // Sums over all runs.
  const RunResult& sum() const { return sum_; }

  // Of the CPU time that the vCPUs used: spent spinning on a holder that did not run.
  double wasted_spin_share() const;
  // Of the parks: those while the holder ran and still held the lock.
  double false_park_share() const;
  double switches_per_second() const;
  // Of the time in which somebody waited for a holder: the page told its true state.
  // Absent: no page, no oracle, or nobody waited.
  std::optional<double> agreement() const;

 private:
  std::vector<double> throughputs_;
  std::vector<double> fairness_;
  RunResult sum_ = {};
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_SUMMARY_H_
