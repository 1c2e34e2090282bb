// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_SUBJECT_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_SUBJECT_H_

#include <string>
#include <vector>

#include "tests/bench/locks/sample.h"

namespace lockhost::bench {

// One lock to be measured.
struct Subject {
  std::string name = {};
  bool ours = false;  // no peer of itself
  // What the process must do before it touches a lock; null: nothing.
  void (*prepare)() = nullptr;
  // Asked once, if the subject is wanted: why it cannot be measured here; empty: it can.
  std::string (*why_missing)() = nullptr;
  // Runs the cell in this process, whose threads it leaves behind for none.
  void (*run)(const Cell& cell, const RunPlan& plan, Sample* sample) = nullptr;
  bool uncontended_only = false;
};

// In the order in which they are shown. What is not packaged here is left out, and named
// in `missing`.
std::vector<Subject> AllSubjects(std::vector<std::string>* missing);

// Those of oneTBB and of Concurrency Kit, each in a file that is built where the package is.
void AddTbbSubjects(std::vector<Subject>* subjects);
void AddCkSubjects(std::vector<Subject>* subjects);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_SUBJECT_H_
