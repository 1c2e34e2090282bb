// SPDX-License-Identifier: Apache-2.0
//
// What is measured: one cell is one setting of one workload, run with each lock in turn.
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_CELL_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_CELL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lockhost::bench {

enum class Workload {
  kThreads,      // lock, critical section, unlock, gap; as fast as each thread can
  kBarrier,      // the same in phases with a barrier between
  kUncontended,  // one thread alone at the lock, another alive
  kLab,          // vCPUs of a microVM instead of threads, that are really preempted (lab.h)
};

inline constexpr int kMostThreads = 64;
inline constexpr int kMostLocks = 100;

struct Cell {
  Workload workload = Workload::kThreads;
  int threads = 1;  // kLab: vCPUs
  int cs_ns = 0;    // work inside the lock, alone on a CPU
  int gap_ns = 0;   // between two locks
  int locks = 1;    // more than 1: drawn by Zipf's law, exponent 1
  // kLab alone.
  int hogs = 0;        // processes that compute beside the VM
  char pinning = 'B';  // as in the 2010 series: A, a CPU for each vCPU; B, none; C, all on one

  bool operator==(const Cell&) const = default;
};

absl::string_view NameOf(Workload workload);

// "threads 8 cs 100 gap 1000 locks 1"; "lab 2 vCPUs 4 hogs B cs 400 gap 200".
std::string NameOf(const Cell& cell);

// Of those that want a CPU to those that there are.
double Overcommit(const Cell& cell, long cpus);

// Every cell that threads can run; `quick`: a few of each workload, to see that it works.
std::vector<Cell> AllCells(bool quick);

// Every cell of the lab on so many CPUs, those of one VM together.
std::vector<Cell> LabCells(int cpus, bool quick);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_CELL_H_
