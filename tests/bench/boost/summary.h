// SPDX-License-Identifier: Apache-2.0
//
// From rows to what is claimed: pure functions.
#ifndef LOCKHOST_TESTS_BENCH_BOOST_SUMMARY_H_
#define LOCKHOST_TESTS_BENCH_BOOST_SUMMARY_H_

#include <optional>
#include <string>
#include <vector>

#include "tests/bench/boost/figures.h"

namespace lockhost::bench {

// A ratio, and the cell that it is of.
struct Worst {
  double ratio = 0;
  std::string cell = {};
};

// A cell of the grid of the 2010 KVM patch series "directed yield for paravirtual spinlocks":
// how much sooner a job is done than with a ticket lock, in percent.
struct Gain {
  Cell cell;
  double over_ticket = 0;
  double over_spin_then_futex = 0;
  double in_2010 = 0;
};

// lockhost with boosts / test-and-set, by throughput, as VMs were paired in the 2017 study.
struct Pairing {
  std::string name;
  double ratio = 0;
};

// Of the cells with 2x to 4x: lockhost with boosts against the best lock without them, the one
// that is most often acquired in that cell. Absent: not measured.
struct Summary {
  std::optional<double> holder_back_us_p50_4x, holder_back_us_p99_4x;
  std::optional<double> holder_back_us_p50_3x, holder_back_us_p99_3x;
  std::optional<double> unboosted_us_p50_4x, unboosted_us_p99_4x;
  std::optional<double> grpc_us_p50, grpc_us_p99;
  std::optional<Worst> p9999, p99999, p99999_4x;  // largest
  std::optional<double> geomean_throughput;
  std::optional<Worst> throughput;              // smallest, as the next two
  std::optional<Worst> fairness;                // against lockhost without boosts
  std::optional<Worst> neighbour;               // what they did in long runs, boosts on / off
  std::optional<Worst> cpu_share;               // the VM's, long runs: the farthest from 1
  std::optional<double> lying_guest_cpu_moved;  // of its neighbours' share, to the liar
  std::optional<double> lying_guest_share;      // the VM's, lying / honest
  std::vector<Gain> grid_2010;
  std::vector<Pairing> pairings_2017;
};

Summary Summarise(const Figures& figures);

// The row of that lock in that cell; null: not measured.
const Row* Find(const std::vector<Row>& rows, const Cell& cell, lab::Subject subject);
// The lock without boosts that is acquired most often there; null: none was measured.
const Row* BestWithoutBoost(const std::vector<Row>& rows, const Cell& cell);
// What the neighbours of a boosted VM did / what they did beside lockhost without boosts, in
// the short runs of the grid.
std::optional<double> NeighbourRatio(const std::vector<Row>& rows, const Cell& cell);

double Mean(const std::vector<double>& values);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_BOOST_SUMMARY_H_
