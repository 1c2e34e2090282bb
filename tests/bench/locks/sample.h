// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_SAMPLE_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_SAMPLE_H_

#include <cstdint>

#include "tests/bench/locks/cell.h"
#include "tests/lab/abi/histogram.h"

namespace lockhost::bench {

// How long and with which calibration a cell is run.
struct RunPlan {
  uint64_t length_ns = 0;
  double loops_per_ns = 0;  // of Work(), alone on a CPU
  double ticks_per_ns = 0;  // of the TSC
};

// What one run of a cell yields. Lies in memory that the measured process shares with the
// one that started it, all zero at first; written by the former alone.
struct Sample {
  bool complete;
  uint64_t exclusion_errors;  // 0, or the lock is none
  double ops_per_s;           // acquisitions; barrier: phases
  double fairness;            // slowest / fastest thread
  double spin_cpu_share;      // CPU time that was neither critical section nor gap
  double ns_per_op;           // uncontended alone
  lab::Histogram acquire_ns;
};

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_SAMPLE_H_
