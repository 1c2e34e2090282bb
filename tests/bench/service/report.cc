// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/service/report.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lockhost::bench {
namespace {

using Json = nlohmann::ordered_json;
using lab::Histogram;

double Us(const Histogram& ns, double quantile) {
  return static_cast<double>(ns.Quantile(quantile)) / 1e3;
}

std::optional<double> UsIfAny(const Histogram& ns, double quantile) {
  if (ns.Total() == 0) return std::nullopt;
  return Us(ns, quantile);
}

void AddDelivery(const Delivery& delivery, std::vector<Line>* lines) {
  // The bars speak of a host with two vCPUs for each CPU.
  const bool judged = delivery.overcommit == 2;
  const auto add = [&](const char* name, double quantile, std::optional<double> bar) {
    lines->push_back({.what = absl::StrCat("delivery at ", delivery.overcommit, "x, ", name),
                      .unit = "us",
                      .value = UsIfAny(delivery.delivery_ns, quantile),
                      .bar = judged ? bar : std::nullopt});
  };
  add("p50", 0.5, 60);
  add("p99", 0.99, 250);
  add("p99.9", 0.999, std::nullopt);
}

void AddCost(const lab::Perturbation& cost, std::vector<Line>* lines) {
  lines->push_back({.what = "vCPU switches without demand, on / off",
                    .unit = "",
                    .value = cost.idle_ratio.value,
                    .bar = 1.02});
  lines->push_back({.what = "extra vCPU switches for a hint",
                    .unit = "",
                    .value = cost.extra_switches_per_event.value,
                    .bar = 2.2});
  lines->push_back({.what = "guest's work under demand, on / off",
                    .unit = "",
                    .value = cost.throughput_ratio.value,
                    .bar = 0.98,
                    .at_least = true});
  lines->push_back({.what = "CPU of all three daemons, no demand",
                    .unit = "%",
                    .value = cost.idle_cpu_percent,
                    .bar = 0.2});
  lines->push_back({.what = "CPU of all three daemons, demand",
                    .unit = "%",
                    .value = cost.demand_cpu_percent,
                    .bar = 2});
}

void AddFanOut(const FanOut& fan_out, std::vector<Line>* lines) {
  const std::string guests = absl::StrCat(fan_out.guests, " guests: ");
  const auto add = [&](const char* what, const char* unit, std::optional<double> value,
                       std::optional<double> bar) {
    lines->push_back({.what = guests + what, .unit = unit, .value = value, .bar = bar});
  };
  add("changes a second", "", fan_out.changes_per_second, std::nullopt);
  add("messages a second", "", fan_out.messages_per_second, std::nullopt);
  add("fan-out p50", "us", UsIfAny(fan_out.delivery_ns, 0.5), std::nullopt);
  add("fan-out p99", "us", UsIfAny(fan_out.delivery_ns, 0.99), 1000);
  add("lockhostd, CPU", "%", fan_out.server_cpu_percent, std::nullopt);
  add("lockhostd, memory", "MiB", static_cast<double>(fan_out.server_rss_bytes) / (1 << 20), 64);
  add("lockhostd, threads", "", fan_out.server_threads, fan_out.server_threads_with_one_guest);
}

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json Quantiles(const Histogram& ns) {
  if (ns.Total() == 0) return nullptr;
  return {{"p50", Us(ns, 0.5)}, {"p99", Us(ns, 0.99)}, {"samples", ns.Total()}};
}

void AddJson(const lab::Perturbation& cost, Json* json) {
  (*json)["perturbation"] = {
      {"idle_ratio", OrNull(cost.idle_ratio.value)},
      {"extra_switches_per_event", OrNull(cost.extra_switches_per_event.value)},
      {"throughput_ratio", OrNull(cost.throughput_ratio.value)},
      {"pairs", cost.pairs},
      {"events_per_second", cost.events_per_s}};
  (*json)["cpu_percent"] = {{"idle", cost.idle_cpu_percent}, {"demand", cost.demand_cpu_percent}};
}

void AddJson(const FanOut& fan_out, Json* json) {
  (*json)["fanout_us"] = Quantiles(fan_out.delivery_ns);
  (*json)["rss_bytes"] = fan_out.server_rss_bytes;
  (*json)["threads"] = fan_out.server_threads;
  (*json)["fanout"] = {{"guests", fan_out.guests},
                       {"vcpus", fan_out.vcpus},
                       {"changes_per_second", fan_out.changes_per_second},
                       {"messages_per_second", fan_out.messages_per_second},
                       {"cpu_percent", fan_out.server_cpu_percent},
                       {"threads_with_one_guest", fan_out.server_threads_with_one_guest}};
}

}  // namespace

bool Line::met() const { return at_least ? *value >= *bar : *value <= *bar; }

std::vector<Line> Lines(const Figures& figures) {
  std::vector<Line> lines;
  for (const Delivery& delivery : figures.delivery) AddDelivery(delivery, &lines);
  if (figures.cost.has_value()) AddCost(*figures.cost, &lines);
  if (figures.fan_out.has_value()) AddFanOut(*figures.fan_out, &lines);
  return lines;
}

std::string Table(const Figures& figures) {
  std::string table;
  if (!figures.why_not_kvm.empty()) {
    absl::StrAppend(&table, "threads stand in for vCPUs: ", figures.why_not_kvm, "\n");
  }
  absl::StrAppendFormat(&table, "%-42s %10s %-4s %12s\n", "", "measured", "", "bar");
  for (const Line& line : Lines(figures)) {
    const std::string value =
        line.value ? absl::StrFormat("%.*f", *line.value < 10 ? 3 : 0, *line.value) : "-";
    absl::StrAppendFormat(&table, "%-42s %10s %-4s", line.what, value, line.unit);
    if (line.bar) {
      absl::StrAppendFormat(&table, " %4s %7.6g  %s", line.at_least ? ">=" : "<=", *line.bar,
                            !line.value ? "" : (line.met() ? "met" : "missed"));
    }
    table += '\n';
  }
  for (const auto& [name, why] : figures.absent) {
    absl::StrAppend(&table, "not measured: ", name, ": ", why, "\n");
  }
  return table;
}

Json ToJson(const Figures& figures) {
  Json json = {{"delivery_us", Json::array()}, {"perturbation", nullptr}, {"cpu_percent", nullptr},
               {"fanout_us", nullptr},         {"rss_bytes", nullptr},    {"threads", nullptr}};
  for (const Delivery& delivery : figures.delivery) {
    Json row = {{"overcommit", delivery.overcommit},
                {"p50", OrNull(UsIfAny(delivery.delivery_ns, 0.5))},
                {"p99", OrNull(UsIfAny(delivery.delivery_ns, 0.99))},
                {"p999", OrNull(UsIfAny(delivery.delivery_ns, 0.999))},
                {"samples", delivery.delivery_ns.Total()}};
    json["delivery_us"].push_back(std::move(row));
  }
  if (figures.cost.has_value()) AddJson(*figures.cost, &json);
  if (figures.fan_out.has_value()) AddJson(*figures.fan_out, &json);
  json["bars"] = Json::array();
  for (const Line& line : Lines(figures)) {
    if (!line.bar || !line.value) continue;
    json["bars"].push_back(
        {{"what", line.what}, {"value", *line.value}, {"bar", *line.bar}, {"met", line.met()}});
  }
  json["absent"] = figures.absent;
  json["kvm"] = figures.why_not_kvm.empty();
  return json;
}

bool WriteJson(const std::string& path, long cpus, const std::string& kernel,
               const Figures& figures) {
  Json json = ToJson(figures);
  json["cpus"] = cpus;
  json["kernel"] = kernel;
  std::ofstream file(path);
  file << json.dump(2) << "\n";
  file.close();
  return file.good();
}

}  // namespace lockhost::bench
