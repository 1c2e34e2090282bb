// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_BOOST_REPORT_H_
#define LOCKHOST_TESTS_BENCH_BOOST_REPORT_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/boost/summary.h"
#include "tests/lab/demo/results.h"

namespace lockhost::bench {

// One figure beside what it is to be.
struct Line {
  std::string what;
  std::string unit = {};
  std::optional<double> value = {};  // absent: not measured
  std::optional<double> bar = {};    // absent: none is set
  bool at_least = false;             // the bar is the least, not the most
  std::string cell = {};             // that it is of; empty: of all
  bool met() const;                  // REQUIRES: both are there
};
std::vector<Line> Lines(const Summary& summary);

// Where it was measured; not wrapped.
std::string TextOf(const lab::Setting& setting);
// At most 80 columns: a line a lock and cell, the summary, the grid of 2010, the pairings, and
// what was not measured, and why.
std::string TextOf(const Figures& figures);
nlohmann::ordered_json ToJson(const lab::Setting& setting, const Figures& figures);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_BOOST_REPORT_H_
