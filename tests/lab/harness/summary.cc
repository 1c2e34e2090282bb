// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/summary.h"

#include <cmath>

namespace lockhost::lab {

MeanAndDeviation Summarise(const std::vector<double>& values) {
  if (values.empty()) return {};
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  if (values.size() < 2) return {.mean = mean, .stddev = 0};
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {.mean = mean, .stddev = std::sqrt(squares / static_cast<double>(values.size() - 1))};
}

double Share(double part, double whole) { return whole > 0 ? part / whole : 0; }

void Summary::Add(const RunResult& run) {
  throughputs_.push_back(run.Throughput());
  fairness_.push_back(run.Fairness());
  sum_.seconds += run.seconds;
  sum_.usage.cpu_ns += run.usage.cpu_ns;
  sum_.usage.switches += run.usage.switches;
  if (run.lock_holder_preemptions.has_value()) {
    sum_.lock_holder_preemptions =
        sum_.lock_holder_preemptions.value_or(0) + *run.lock_holder_preemptions;
  }
  sum_.exclusion_errors += run.exclusion_errors;
  sum_.spins += run.spins;
  sum_.spin_ns += run.spin_ns;
  sum_.wasted_spin_ns += run.wasted_spin_ns;
  sum_.parks += run.parks;
  sum_.false_parks += run.false_parks;
  sum_.park_ns += run.park_ns;
  sum_.kicks += run.kicks;
  sum_.judged_ns += run.judged_ns;
  sum_.agreed_ns += run.agreed_ns;
  sum_.false_running_ns += run.false_running_ns;
  sum_.false_preempted_ns += run.false_preempted_ns;
  sum_.no_hint_ns += run.no_hint_ns;
  sum_.acquire_ns.Merge(run.acquire_ns);
  sum_.delivery_ns.Merge(run.delivery_ns);
}

double Summary::wasted_spin_share() const {
  return Share(static_cast<double>(sum_.wasted_spin_ns), static_cast<double>(sum_.usage.cpu_ns));
}

double Summary::false_park_share() const {
  return Share(static_cast<double>(sum_.false_parks), static_cast<double>(sum_.parks));
}

double Summary::switches_per_second() const {
  return Share(static_cast<double>(sum_.usage.switches), sum_.seconds);
}

std::optional<double> Summary::agreement() const {
  if (sum_.judged_ns == 0) return std::nullopt;
  return Share(static_cast<double>(sum_.agreed_ns), static_cast<double>(sum_.judged_ns));
}

}  // namespace lockhost::lab
