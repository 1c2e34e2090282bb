// SPDX-License-Identifier: Apache-2.0
//
// What the demo found out; made by the grid and the perturbation measurement, read by
// the table, the verdict and the JSON document.
#ifndef LOCKHOST_TESTS_LAB_DEMO_RESULTS_H_
#define LOCKHOST_TESTS_LAB_DEMO_RESULTS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/lab/harness/summary.h"

namespace lockhost::lab {

struct Section {
  uint64_t critical_ns;
  uint64_t gap_ns;
};

// One subject in one section at one vCPU ratio.
struct Cell {
  Subject subject;
  uint32_t ratio;
  uint32_t vcpus;
  Section section;
  Summary summary;
};

// A value, or why there is none.
template <typename T>
struct Finding {
  std::optional<T> value;
  std::string absent_because;
};

struct Quantiles {
  double p50;
  double p99;
  uint64_t samples;
};

// How one path of hints did at one ratio, over both sections.
struct PathFacts {
  uint64_t judged_ns = 0, agreed_ns = 0;
  uint64_t false_running_ns = 0, false_preempted_ns = 0, no_hint_ns = 0;
  Histogram delivery_ns = {};
};

struct Perturbation {
  uint32_t vcpu_ratio = 0;
  int pairs = 0;
  double idle_on_per_s = 0, idle_off_per_s = 0;      // vCPU context switches, no demand
  double demand_on_per_s = 0, demand_off_per_s = 0;  // the same with waiters showing demand
  double events_per_s = 0;                           // deltas that the guest agent received
  Finding<double> idle_ratio;
  Finding<double> extra_switches_per_event;
  Finding<double> throughput_ratio;                     // acquisitions under demand, on / off
  double idle_cpu_percent = 0, demand_cpu_percent = 0;  // of one CPU: the three daemons
};

// Where it all ran.
struct Setting {
  bool kvm = false;
  std::string why_not_kvm;
  std::string source;           // "bpf", "perf", "procfs"
  std::string source_reason;    // why not a better one
  std::string why_not_boosted;  // empty: holders are boosted
  bool oracle = false;          // the table is the scheduler's own account
  std::string machine;
  std::string kernel;
  uint32_t cpus = 0;
  std::string date;
  bool root = false;
};

struct Results {
  Setting setting;
  double run_seconds = 0;
  std::vector<std::unique_ptr<Cell>> cells;  // in the order of the table
  Perturbation perturbation;

  const Cell* Find(Subject subject, uint32_t ratio, uint64_t critical_ns) const;
  // Highest-throughput subject of that cell.
  const Cell* Best(uint32_t ratio, uint64_t critical_ns) const;
  std::vector<uint32_t> Ratios() const;
  PathFacts Facts(Subject subject, uint32_t ratio) const;
  // Delivery at ratio 2, or at the highest one if there is no such.
  Finding<Quantiles> Delivery(Subject subject) const;
  // The worse of the ratios above 1.
  Finding<double> Agreement(Subject subject) const;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_DEMO_RESULTS_H_
