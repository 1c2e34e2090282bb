// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boost/report.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/lab/demo/text.h"
#include "tests/lab/harness/subject_names.h"
#include "tests/lab/harness/summary.h"

namespace lockhost::bench {
namespace {

using Json = nlohmann::ordered_json;
using lab::Histogram;
using lab::ShortTime;
using lab::Subject;

std::optional<double> RatioOf(const std::optional<Worst>& worst) {
  return worst ? std::optional(worst->ratio) : std::nullopt;
}
std::string CellOf(const std::optional<Worst>& worst) { return worst ? worst->cell : ""; }

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Line AtMost(std::string what, std::string unit, std::optional<double> value,
            std::optional<double> bar = std::nullopt) {
  return {.what = std::move(what), .unit = std::move(unit), .value = value, .bar = bar};
}
Line AtMost(std::string what, const std::optional<Worst>& worst, double bar) {
  return {.what = std::move(what), .value = RatioOf(worst), .bar = bar, .cell = CellOf(worst)};
}
Line AtLeast(std::string what, const std::optional<Worst>& worst, double bar) {
  return {.what = std::move(what),
          .value = RatioOf(worst),
          .bar = bar,
          .at_least = true,
          .cell = CellOf(worst)};
}

std::string TimeAt(const Histogram& ns, double quantile) {
  return ns.Total() == 0 ? "-" : ShortTime(static_cast<double>(ns.Quantile(quantile)));
}

std::string TextOfRow(const Row& row) {
  const lab::MeanAndDeviation ops = lab::Summarise(row.ops_per_s);
  return absl::StrFormat(
      "  %-17s%6.0f+-%-4.0f%6s%7s%8s%6s%6.2f%6.0f%6s\n", NameOf(row.subject), ops.mean / 1e3,
      ops.stddev / 1e3, TimeAt(row.acquire_ns, 0.999), TimeAt(row.acquire_ns, 0.9999),
      TimeAt(row.acquire_ns, 0.99999), TimeAt(row.acquire_ns, 1), Mean(row.fairness),
      lab::Share(static_cast<double>(row.boosts), row.seconds), TimeAt(row.holder_back_ns, 0.5));
}

std::string TextOfGrid(const std::vector<Row>& rows) {
  std::string text =
      "                     kops/s +-  99.9  99.99  99.999   max  fair boosts back\n";
  const Cell* cell = nullptr;
  for (const Row& row : rows) {
    if (cell == nullptr || *cell != row.cell) absl::StrAppend(&text, NameOf(row.cell), "\n");
    cell = &row.cell;
    text += TextOfRow(row);
  }
  return rows.empty() ? "" : text;
}

std::string TextOfLine(const Line& line) {
  std::string text = absl::StrFormat(
      "%-42s %7s %-2s", line.what,
      line.value ? absl::StrFormat("%.*f", *line.value < 10 ? 4 : 0, *line.value) : "-", line.unit);
  if (line.bar && line.value) {
    absl::StrAppendFormat(&text, " %s %-5.4g %-6s", line.at_least ? ">=" : "<=", *line.bar,
                          line.met() ? "met" : "missed");
  }
  return text + (line.cell.empty() ? "\n" : " " + line.cell + "\n");
}

std::string TextOfOldSeries(const Summary& summary) {
  std::string text;
  if (!summary.grid_2010.empty()) {
    text = "a lock-bound job is done sooner by       than with ticket   (2010)   futex\n";
  }
  for (const Gain& gain : summary.grid_2010) {
    absl::StrAppendFormat(&text, "  %-36s%15.1f%%  %6.1f%%  %6.1f%%\n", NameOf(gain.cell),
                          gain.over_ticket, gain.in_2010, gain.over_spin_then_futex);
  }
  for (const Pairing& pairing : summary.pairings_2017) {
    absl::StrAppendFormat(&text, "%-36s%.2f times as often as test-and-set\n", pairing.name,
                          pairing.ratio);
  }
  return text;
}

Json Quantiles(const Histogram& ns) {
  if (ns.Total() == 0) return nullptr;
  return {{"p50", ns.Quantile(0.5)},        {"p99", ns.Quantile(0.99)},
          {"p999", ns.Quantile(0.999)},     {"p9999", ns.Quantile(0.9999)},
          {"p99999", ns.Quantile(0.99999)}, {"max", ns.max}};
}

Json JsonOfRow(const Row& row, const std::vector<Row>& rows) {
  const lab::MeanAndDeviation ops = lab::Summarise(row.ops_per_s);
  const bool boosted = row.subject == Subject::kLockhostBoost;
  Json json = {{"overcommit", row.cell.overcommit},
               {"pinning", NameOf(row.cell.pinning)},
               {"neighbour", NameOf(row.cell.neighbour)},
               {"subject", std::string(NameOf(row.subject))},
               {"vcpus", row.vcpus},
               {"runs", row.ops_per_s.size()},
               {"ops_per_s", {{"mean", ops.mean}, {"stddev", ops.stddev}}},
               {"acquire_ns", Quantiles(row.acquire_ns)},
               {"fairness", Mean(row.fairness)}};
  json["neighbour_ratio"] = boosted ? OrNull(NeighbourRatio(rows, row.cell)) : Json(nullptr);
  json["boosts_per_s"] = lab::Share(static_cast<double>(row.boosts), row.seconds);
  json["switches_per_s"] = lab::Share(static_cast<double>(row.switches), row.seconds);
  json["holder_back_ns"] = Quantiles(row.holder_back_ns);
  return json;
}

Json JsonOfRows(const std::vector<Row>& rows) {
  Json json = Json::array();
  for (const Row& row : rows) json.push_back(JsonOfRow(row, rows));
  return json;
}

Json JsonOfSummary(const Summary& summary) {
  Json json = {{"holder_back_us_direct_p50", OrNull(summary.holder_back_us_p50_4x)},
               {"holder_back_us_direct_p99", OrNull(summary.holder_back_us_p99_4x)},
               {"holder_back_us_direct_p50_3x", OrNull(summary.holder_back_us_p50_3x)},
               {"holder_back_us_direct_p99_3x", OrNull(summary.holder_back_us_p99_3x)},
               {"holder_back_us_unboosted_p50", OrNull(summary.unboosted_us_p50_4x)},
               {"holder_back_us_unboosted_p99", OrNull(summary.unboosted_us_p99_4x)},
               {"holder_back_us_grpc_p50", OrNull(summary.grpc_us_p50)},
               {"holder_back_us_grpc_p99", OrNull(summary.grpc_us_p99)},
               {"worst_p9999_ratio", OrNull(RatioOf(summary.p9999))},
               {"worst_p99999_ratio", OrNull(RatioOf(summary.p99999))},
               {"p99999_ratio_4x", OrNull(RatioOf(summary.p99999_4x))},
               {"geomean_throughput_ratio", OrNull(summary.geomean_throughput)},
               {"worst_throughput_ratio", OrNull(RatioOf(summary.throughput))},
               {"worst_fairness_ratio", OrNull(RatioOf(summary.fairness))},
               {"worst_neighbour_ratio", OrNull(RatioOf(summary.neighbour))},
               {"worst_cpu_share_ratio", OrNull(RatioOf(summary.cpu_share))},
               {"lying_guest_cpu_moved", OrNull(summary.lying_guest_cpu_moved)},
               {"lying_guest_cpu_share_ratio", OrNull(summary.lying_guest_share)},
               {"grid_2010", Json::array()},
               {"pairings_2017", Json::object()}};
  for (const Gain& gain : summary.grid_2010) {
    json["grid_2010"].push_back({{"overcommit", gain.cell.overcommit},
                                 {"pinning", NameOf(gain.cell.pinning)},
                                 {"gain_percent", gain.over_ticket},
                                 {"gain_over_spin_then_futex_percent", gain.over_spin_then_futex},
                                 {"series_percent", gain.in_2010}});
  }
  for (const Pairing& pairing : summary.pairings_2017) {
    json["pairings_2017"][pairing.name] = pairing.ratio;
  }
  return json;
}

Json JsonOfShares(const std::vector<Shares>& runs) {
  Json json = Json::array();
  for (const Shares& run : runs) {
    json.push_back({{"vm_cpu", run.vm},
                    {"neighbour_cpu", run.neighbour},
                    {"neighbour_rate", run.neighbour_rate}});
  }
  return json;
}

}  // namespace

bool Line::met() const { return at_least ? *value >= *bar : *value <= *bar; }

std::vector<Line> Lines(const Summary& s) {
  return {
      AtMost("holder back on a CPU, 4x, p50", "us", s.holder_back_us_p50_4x, 130),
      AtMost("holder back on a CPU, 4x, p99", "us", s.holder_back_us_p99_4x, 300),
      AtMost("holder back on a CPU, 3x, p50", "us", s.holder_back_us_p50_3x),
      AtMost("holder back on a CPU, 3x, p99", "us", s.holder_back_us_p99_3x),
      AtMost("any holder without boosts, 4x, p50", "us", s.unboosted_us_p50_4x),
      AtMost("any holder without boosts, 4x, p99", "us", s.unboosted_us_p99_4x),
      AtMost("holder back on a CPU, by gRPC, p50", "us", s.grpc_us_p50, 300),
      AtMost("holder back on a CPU, by gRPC, p99", "us", s.grpc_us_p99, 2000),
      AtMost("acquire p99.99 / best without boost", s.p9999, 0.01),
      AtMost("acquire p99.999 / best without boost", s.p99999, 0.5),
      AtMost("the same at 4x", s.p99999_4x, 0.1),
      {.what = "throughput / best without, geometric mean",
       .value = s.geomean_throughput,
       .bar = 1.15,
       .at_least = true},
      AtLeast("throughput / best without boost", s.throughput, 1),
      AtLeast("fairness, boosts on / off", s.fairness, 0.95),
      AtLeast("neighbours' work, boosts on / off", s.neighbour, 0.98),
      AtMost("the VM's CPU share, on / off: off by",
             s.cpu_share ? std::optional(Worst{std::abs(s.cpu_share->ratio - 1), s.cpu_share->cell})
                         : std::nullopt,
             0.02),
      AtMost("a liar takes of its neighbours' CPU time", "", s.lying_guest_cpu_moved, 0.01)};
}

std::string TextOf(const lab::Setting& setting) {
  std::string text = absl::StrCat("Boosts on ", setting.cpus, " CPUs (", setting.machine,
                                  "), Linux ", setting.kernel);
  if (!setting.kvm) {
    absl::StrAppend(&text, "; threads stand in for vCPUs: ", setting.why_not_kvm);
  }
  return text;
}

std::string TextOf(const Figures& figures) {
  const Summary summary = Summarise(figures);
  std::string text = TextOfGrid(figures.rows);
  if (!figures.lock_bound.empty()) {
    absl::StrAppend(&text, "the same with ", kLockBoundGapNs, " ns between two sections\n",
                    TextOfGrid(figures.lock_bound));
  }
  for (const Line& line : Lines(summary)) text += TextOfLine(line);
  text += TextOfOldSeries(summary);
  for (const auto& [what, why] : figures.absent) {
    absl::StrAppend(&text, lab::Wrapped(absl::StrCat("not measured: ", what, ": ", why)));
  }
  return text;
}

Json ToJson(const lab::Setting& setting, const Figures& figures) {
  const Summary summary = Summarise(figures);
  Json json = {{"cpus", setting.cpus},
               {"machine", setting.machine},
               {"kernel", setting.kernel},
               {"date", setting.date},
               {"kvm", setting.kvm},
               {"why_not_kvm", setting.why_not_kvm},
               {"critical_ns", kCriticalNs},
               {"gap_ns", kGapNs},
               {"lock_bound_gap_ns", kLockBoundGapNs},
               {"summary", JsonOfSummary(summary)},
               {"bars", Json::array()},
               {"rows", JsonOfRows(figures.rows)},
               {"lock_bound_rows", JsonOfRows(figures.lock_bound)},
               {"shares", Json::object()}};
  for (const Line& line : Lines(summary)) {
    if (!line.bar || !line.value) continue;
    json["bars"].push_back({{"what", line.what},
                            {"value", *line.value},
                            {"bar", *line.bar},
                            {"met", line.met()},
                            {"cell", line.cell}});
  }
  const auto add = [&](const std::string& name, const Pairs& pairs, const char* without,
                       const char* with) {
    json["shares"][name] = {{without, JsonOfShares(pairs.without)},
                            {with, JsonOfShares(pairs.with)}};
  };
  for (const auto& [cell, pairs] : figures.boosted) add(cell, pairs, "boosts_off", "boosts_on");
  if (figures.lies) add("lies", *figures.lies, "honest", "lying");
  json["absent"] = figures.absent;
  return json;
}

}  // namespace lockhost::bench
