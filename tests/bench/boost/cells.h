// SPDX-License-Identifier: Apache-2.0
//
// What is measured: which VM, beside whom, on which CPUs.
#ifndef LOCKHOST_TESTS_BENCH_BOOST_CELLS_H_
#define LOCKHOST_TESTS_BENCH_BOOST_CELLS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/lab/harness/neighbours.h"

namespace lockhost::bench {

enum class Neighbour {
  kNone,  // all that wants a CPU are the VM's own vCPUs
  kHogs,  // processes that compute for ever
  kVm,    // a second VM whose vCPUs compete for a spin-then-futex lock of their own
};

struct Cell {
  uint32_t overcommit = 1;  // (vCPUs of the VM + neighbours) / CPUs
  lab::Pinning pinning = lab::Pinning::kNone;
  Neighbour neighbour = Neighbour::kNone;

  bool operator==(const Cell&) const = default;
};

std::string NameOf(Neighbour neighbour);
std::string NameOf(lab::Pinning pinning);
// "4x B hogs".
std::string NameOf(const Cell& cell);

// vCPUs for each CPU: half of all that want one, but at 2x it is the VM alone, or one each. A
// VM that is to lose the holder of its lock to neighbours needs vCPUs that go on waiting.
uint32_t VcpusPerCpu(uint32_t overcommit);
uint32_t NeighboursPerCpu(uint32_t overcommit);

// 1x to 4x by A, B, C, with both kinds of neighbours from 2x on.
std::vector<Cell> AllCells();
// Three of them, to see that it works.
std::vector<Cell> QuickCells();

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_BOOST_CELLS_H_
