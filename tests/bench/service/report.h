// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_SERVICE_REPORT_H_
#define LOCKHOST_TESTS_BENCH_SERVICE_REPORT_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/service/figures.h"

namespace lockhost::bench {

// One figure beside what it is to be.
struct Line {
  std::string what;
  std::string unit;
  std::optional<double> value;  // absent: not measured
  std::optional<double> bar;    // absent: none is set
  bool at_least = false;        // the bar is the least, not the most
  bool met() const;             // REQUIRES: both are there
};

// In the order of the table.
std::vector<Line> Lines(const Figures& figures);

// At most 80 columns; ends with what was not measured, and why.
std::string Table(const Figures& figures);
nlohmann::ordered_json ToJson(const Figures& figures);
// The same as a file, with where it was measured. False: it cannot be written.
bool WriteJson(const std::string& path, long cpus, const std::string& kernel,
               const Figures& figures);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_SERVICE_REPORT_H_
