// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tests/bench/locks/output.h"

namespace lockhost::bench {
namespace {

std::vector<std::string> OurLocks(Workload workload, const std::vector<Row>& rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) {
    if (!row.ours || row.cell.workload != workload) continue;
    if (std::find(names.begin(), names.end(), row.subject) == names.end()) {
      names.push_back(row.subject);
    }
  }
  return names;
}

std::string Value(const Row& row) {
  if (!row.ns_per_op.empty()) {
    const MeanAndDeviation value = Describe(row.ns_per_op);
    return absl::StrFormat("%7.2f +- %.2f ns", value.mean, value.stddev);
  }
  const MeanAndDeviation value = Describe(row.ops_per_s);
  return absl::StrFormat("%9.1f +- %.1f k/s", value.mean / 1e3, value.stddev / 1e3);
}

// All locks of one cell, best first.
std::string OneCell(const std::vector<const Row*>& rows) {
  std::string text = absl::StrCat(NameOf(rows.front()->cell), "\n");
  for (const Row* row : rows) {
    absl::StrAppendFormat(&text, "  %-24s %-28s p99 %9.1f us  fairness %.2f  spins %3.0f%%%s\n",
                          row->subject, Value(*row),
                          static_cast<double>(row->acquire_ns.Quantile(0.99)) / 1e3,
                          Describe(row->fairness).mean, Describe(row->spin_cpu_share).mean * 100,
                          row->ours ? "  <-" : "");
  }
  return text;
}

std::string OneSummary(const Summary& summary) {
  std::string text = absl::StrFormat(
      "%-12s %-18s worst %.2f of the best peer (%s: %s), %d of %d cells below 0.95;\n"
      "%32s%.2f of the best single peer (%s) in the geometric mean, fairness at least %.2f\n",
      NameOf(summary.workload), summary.subject, summary.worst_ratio_to_best_peer,
      summary.worst_cell, summary.best_peer_of_worst_cell, summary.cells_below_095, summary.cells,
      "", summary.geomean_ratio_to_best_peer, summary.best_single_peer, summary.worst_fairness);
  if (summary.workload != Workload::kLab) return text;
  absl::StrAppendFormat(&text,
                        "%32s%d cells below by more than a standard deviation; p99.9 at most %.2f "
                        "of the best peer's (%s)\n",
                        "", summary.cells_below_by_a_deviation, summary.worst_p999_to_best_peer,
                        summary.worst_p999_cell);
  return text;
}

// What hints save, where there are more vCPUs and hogs than CPUs.
std::string WasteText(const Setting& setting, const std::vector<Row>& rows) {
  std::string text;
  for (const char* subject : {"lockhost-grpc", "lockhost-direct", "lockhost-boost"}) {
    const auto ratio = CompareWaste(subject, "lockhost-nohints", setting.cpus, rows);
    if (!ratio.has_value()) continue;
    absl::StrAppendFormat(
        &text,
        "%-16s wasted spins %.2f%% of CPU time instead of %.2f%%, false parks "
        "%.1f%% of all instead of %.1f%%, together %.2f%% instead of %.2f%%\n",
        subject, ratio->with.wasted_spin_share() * 100, ratio->without.wasted_spin_share() * 100,
        ratio->with.false_park_share() * 100, ratio->without.false_park_share() * 100,
        ratio->with.share() * 100, ratio->without.share() * 100);
  }
  return text;
}

}  // namespace

std::vector<Summary> SummariseAll(const std::vector<Row>& rows) {
  std::vector<Summary> summaries;
  for (const Workload workload :
       {Workload::kThreads, Workload::kBarrier, Workload::kUncontended, Workload::kLab}) {
    for (const std::string& subject : OurLocks(workload, rows)) {
      summaries.push_back(Summarise(workload, subject, rows));
    }
  }
  return summaries;
}

std::string TextOf(const Setting& setting, const std::vector<Row>& rows) {
  std::string text = absl::StrFormat(
      "%d CPUs (%s), Linux %s; %d runs of %.0f ms for each lock in each cell, interleaved;\n"
      "%d runs while the machine was slowed down from outside\n",
      setting.cpus, setting.cpu_model, setting.kernel, setting.runs, setting.length_ms,
      setting.disturbed_runs);
  if (!setting.missing.empty()) {
    absl::StrAppend(&text, "not compared, not installed when this was built: ",
                    absl::StrJoin(setting.missing, ", "), "\n");
  }
  if (setting.lab_backend != "kvm") {
    absl::StrAppend(&text, "lab: threads stand in for the vCPUs of a VM\n");
  }
  for (const auto& [what, why] : setting.absent) {
    absl::StrAppend(&text, "not measured: ", what, ": ", why, "\n");
  }
  std::vector<const Row*> cell;
  for (size_t i = 0; i < rows.size(); ++i) {
    cell.push_back(&rows[i]);
    if (i + 1 < rows.size() && rows[i + 1].cell == rows[i].cell) continue;
    std::stable_sort(cell.begin(), cell.end(),
                     [](const Row* a, const Row* b) { return a->ops() > b->ops(); });
    absl::StrAppend(&text, OneCell(cell));
    cell.clear();
  }
  for (const Summary& summary : SummariseAll(rows)) absl::StrAppend(&text, OneSummary(summary));
  return text + WasteText(setting, rows);
}

}  // namespace lockhost::bench
