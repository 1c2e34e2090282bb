// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_OUTPUT_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_OUTPUT_H_

#include <map>
#include <string>
#include <vector>

#include "tests/bench/locks/results.h"

namespace lockhost::bench {

// What the figures depend on.
struct Setting {
  long cpus = 0;
  std::string kernel = {};
  std::string cpu_model = {};
  int runs = 0;
  double length_ms = 0;
  int disturbed_runs = 0;                 // counted though the machine was slowed down
  std::vector<std::string> missing = {};  // packages whose locks were not compared
  double lab_length_ms = 0;
  std::string lab_backend = "kvm";                 // "threads": these stand in for vCPUs
  std::map<std::string, std::string> absent = {};  // workloads and locks that were not, and why
};

// The summaries of `results` for each of our locks.
std::vector<Summary> SummariseAll(const std::vector<Row>& rows);

// A line a cell: our locks, and the best peer.
std::string TextOf(const Setting& setting, const std::vector<Row>& rows);

std::string JsonOf(const Setting& setting, const std::vector<Row>& rows);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_OUTPUT_H_
