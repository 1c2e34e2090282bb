// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/bench/locks/output.h"

namespace lockhost::bench {
namespace {

using Json = nlohmann::ordered_json;

Json Numbers(const MeanAndDeviation& value) {
  return {{"mean", value.mean}, {"stddev", value.stddev}};
}

Json AcquireTimes(const lab::Histogram& times) {
  if (times.Total() == 0) return nullptr;
  return {{"p50", times.Quantile(0.5)},
          {"p99", times.Quantile(0.99)},
          {"p999", times.Quantile(0.999)},
          {"p9999", times.Quantile(0.9999)},
          {"max", times.max}};
}

Json OneRow(const Row& row, const Setting& setting) {
  const bool in_lab = row.cell.workload == Workload::kLab;
  Json json = {{"workload", std::string(NameOf(row.cell.workload))},
               {"subject", row.subject},
               {in_lab ? "vcpus" : "threads", row.cell.threads},
               {"overcommit", Overcommit(row.cell, setting.cpus)},
               {"cs_ns", row.cell.cs_ns},
               {"gap_ns", row.cell.gap_ns},
               {"locks", row.cell.locks},
               {"ops_per_s", Numbers(Describe(row.ops_per_s))},
               {"acquire_ns", AcquireTimes(row.acquire_ns)},
               {"fairness", Describe(row.fairness).mean},
               {"spin_cpu_share", Describe(row.spin_cpu_share).mean}};
  if (row.cell.workload == Workload::kUncontended) {
    json["ns_per_op"] = Numbers(Describe(row.ns_per_op));
  }
  if (in_lab) {
    json["backend"] = setting.lab_backend;
    json["hogs"] = row.cell.hogs;
    json["pinning"] = std::string(1, row.cell.pinning);
  }
  if (row.waste.has_value()) {
    json["wasted_spin_share"] = row.waste->wasted_spin_share();
    json["false_park_share"] = row.waste->false_park_share();
  }
  return json;
}

// Times, so of throughputs the other way round; null where one was not measured.
Json TimesAsLongAsSpin(const std::string& subject, const std::vector<Row>& rows) {
  const double ratio = RatioIn({Workload::kUncontended}, "pthread_spinlock", subject, rows);
  return ratio == 0 ? Json(nullptr) : Json(ratio);
}

Json OneWaste(const Waste& waste) {
  return {
      {"wasted_spin_share", waste.wasted_spin_share()},
      {"false_park_share", waste.false_park_share()},
      {"false_parks_per_cpu_s", waste.cpu_ns == 0 ? 0
                                                  : static_cast<double>(waste.false_parks) /
                                                        (static_cast<double>(waste.cpu_ns) / 1e9)},
      {"cpu_share", waste.share()}};
}

// The part of the lab's summary that tells what hints save; null without both rows.
Json WasteOf(const Summary& summary, const Setting& setting, const std::vector<Row>& rows) {
  const auto ratio = CompareWaste(summary.subject, "lockhost-nohints", setting.cpus, rows);
  if (!ratio.has_value() || ratio->without.share() == 0) return nullptr;
  return {{"cells", ratio->cells},
          {"with_hints", OneWaste(ratio->with)},
          {"without_hints", OneWaste(ratio->without)},
          {"ratio", ratio->with.share() / ratio->without.share()},
          {"throughput_ratio", ratio->throughput_ratio}};
}

Json OneSummary(const Summary& summary, const Setting& setting, const std::vector<Row>& rows) {
  Json json = {{"workload", std::string(NameOf(summary.workload))},
               {"subject", summary.subject},
               {"worst_ratio_to_best_peer", summary.worst_ratio_to_best_peer},
               {"worst_cell", summary.worst_cell},
               {"best_peer_of_worst_cell", summary.best_peer_of_worst_cell},
               {"geomean_ratio_to_best_peer", summary.geomean_ratio_to_best_peer},
               {"best_single_peer", summary.best_single_peer},
               {"geomean_ratio_to_best_of_each_cell", summary.geomean_ratio_to_best_of_each_cell},
               {"cells", summary.cells},
               {"cells_below_0.95", summary.cells_below_095},
               {"cells_below_by_a_deviation", summary.cells_below_by_a_deviation},
               {"worst_p999_ratio_to_best_peer", summary.worst_p999_to_best_peer},
               {"worst_p999_cell", summary.worst_p999_cell},
               {"worst_fairness", summary.worst_fairness}};
  if (summary.workload == Workload::kLab) {
    json["boosted"] = summary.subject == "lockhost-boost";
    json["wasted_spin_and_false_parks"] = WasteOf(summary, setting, rows);
  }
  if (summary.workload == Workload::kUncontended) {
    json["ratio_to_pthread_spin"] = {{"native", TimesAsLongAsSpin("lockhost-native", rows)},
                                     {"paravirtual", TimesAsLongAsSpin("lockhost", rows)},
                                     {"reports", TimesAsLongAsSpin("lockhost-reports", rows)}};
  }
  return json;
}

}  // namespace

std::string JsonOf(const Setting& setting, const std::vector<Row>& rows) {
  Json json = {{"cpus", setting.cpus},        {"cpu_model", setting.cpu_model},
               {"kernel", setting.kernel},    {"runs", setting.runs},
               {"run_ms", setting.length_ms}, {"lab_run_ms", setting.lab_length_ms},
               {"missing", setting.missing},  {"absent", Json::object()},
               {"summary", Json::array()},    {"rows", Json::array()}};
  for (const Summary& summary : SummariseAll(rows)) {
    json["summary"].push_back(OneSummary(summary, setting, rows));
  }
  for (const auto& [what, why] : setting.absent) json["absent"][what] = why;
  for (const Row& row : rows) json["rows"].push_back(OneRow(row, setting));
  return json.dump(1) + "\n";
}

}  // namespace lockhost::bench
