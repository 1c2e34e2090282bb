// SPDX-License-Identifier: Apache-2.0
//
// What was found, as it was found; summary.h says what it comes to.
#ifndef LOCKHOST_TESTS_BENCH_BOOST_FIGURES_H_
#define LOCKHOST_TESTS_BENCH_BOOST_FIGURES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/boost/cells.h"
#include "tests/lab/abi/histogram.h"
#include "tests/lab/abi/lab_abi.h"

namespace lockhost::bench {

// One lock in one cell, over all its runs.
struct Row {
  Cell cell;
  lab::Subject subject = lab::Subject::kTestAndSet;
  uint32_t vcpus = 0;
  std::vector<double> ops_per_s = {};       // a run each, as the next
  std::vector<double> fairness = {};        // slowest vCPU / fastest
  std::vector<double> neighbour_rate = {};  // work of all neighbours a second
  lab::Histogram acquire_ns = {};
  // From the moment in which a holder has no CPU while somebody waits, to the moment in which
  // it has one again. Boosted: of each boost, by its record; else of all holders that were
  // preempted, waited for or not, in the books' buckets of powers of two (upper ends).
  lab::Histogram holder_back_ns = {};
  uint64_t boosts = 0;
  uint64_t switches = 0;  // of the vCPUs' threads
  double seconds = 0;
};

// Time that vCPUs and neighbours had in one long run.
struct Shares {
  double vm = 0;         // CPU time / time, of one CPU
  double neighbour = 0;  // the same
  double neighbour_rate = 0;
};

// The same long run without and with something, in turn.
struct Pairs {
  std::vector<Shares> without, with;
};

struct Figures {
  std::vector<Row> rows;                 // kGapNs after each critical section
  std::vector<Row> lock_bound;           // kLockBoundGapNs: the old grid and pairings
  std::map<std::string, Pairs> boosted;  // by name of the cell: boosts off and on
  std::optional<Pairs> lies;             // both with boosts on
  lab::Histogram grpc_holder_back_ns = {};
  std::map<std::string, std::string> absent = {};  // what was not measured, and why
};

inline constexpr uint64_t kCriticalNs = 400;
inline constexpr uint64_t kGapNs = 2'000;         // the lock is free most of the time
inline constexpr uint64_t kLockBoundGapNs = 200;  // it never is, as in `make demo`

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_BOOST_FIGURES_H_
