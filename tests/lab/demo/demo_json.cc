// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/demo/demo_json.h"

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "tests/lab/demo/json_writer.h"
#include "tests/lab/harness/subject_names.h"

namespace lockhost::lab {
namespace {

using Reasons = std::map<std::string, std::string>;

template <typename T>
std::optional<T> Note(const Finding<T>& finding, const std::string& key, Reasons& reasons) {
  if (!finding.value.has_value()) reasons[key] = finding.absent_because;
  return finding.value;
}

void WriteSetting(const Results& results, JsonWriter& json) {
  const Setting& setting = results.setting;
  json.Key("source").String(setting.source);
  json.Key("source_reason").String(setting.source_reason);
  json.Key("kvm").Bool(setting.kvm);
  json.Key("kvm_reason").String(setting.why_not_kvm);
  json.Key("oracle").Bool(setting.oracle);
  json.Key("root").Bool(setting.root);
  json.Key("machine").String(setting.machine);
  json.Key("kernel").String(setting.kernel);
  json.Key("cpus").Integer(setting.cpus);
  json.Key("date").String(setting.date);
  json.Key("run_seconds").Number(results.run_seconds);
}

void WriteQuantiles(const Histogram& ns, JsonWriter& json) {
  const struct {
    const char* name;
    double quantile;
  } all[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}, {"p99999", 0.99999}};
  json.BeginObject();
  for (const auto& [name, quantile] : all) json.Key(name).Integer(ns.Quantile(quantile));
  json.Key("max").Integer(ns.max).EndObject();
}

void WriteThroughput(const Summary& summary, JsonWriter& json) {
  const MeanAndDeviation rate = summary.throughput();
  json.BeginObject();
  json.Key("mean").Number(rate.mean);
  json.Key("stddev").Number(rate.stddev);
  json.Key("each_run").BeginArray();
  for (const double value : summary.throughputs()) json.Number(value);
  json.EndArray().EndObject();
}

void WriteCell(const Cell& cell, bool oracle, JsonWriter& json) {
  const Summary& summary = cell.summary;
  const RunResult& sum = summary.sum();
  const auto judged = [&](auto value) {
    return oracle ? std::optional(value) : std::optional<decltype(value)>();
  };
  json.BeginObject();
  json.Key("subject").String(NameOf(cell.subject));
  json.Key("vcpu_ratio").Integer(uint64_t{cell.ratio});
  json.Key("vcpus").Integer(uint64_t{cell.vcpus});
  json.Key("cs_ns").Integer(cell.section.critical_ns);
  json.Key("gap_ns").Integer(cell.section.gap_ns);
  json.Key("runs").Integer(uint64_t{summary.runs()});
  json.Key("throughput_per_s");
  WriteThroughput(summary, json);
  json.Key("acquire_ns");
  WriteQuantiles(summary.acquire_ns(), json);
  json.Key("fairness").Number(summary.fairness());
  json.Key("lhp").Integer(oracle ? summary.lock_holder_preemptions() : std::nullopt);
  json.Key("wasted_spin_share").Number(judged(summary.wasted_spin_share()));
  json.Key("false_park_share").Number(judged(summary.false_park_share()));
  json.Key("seconds").Number(sum.seconds);
  json.Key("cpu_ns").Integer(sum.usage.cpu_ns);
  json.Key("spin_ns").Integer(sum.spin_ns);
  json.Key("wasted_spin_ns").Integer(judged(sum.wasted_spin_ns));
  json.Key("parks").Integer(sum.parks);
  json.Key("false_parks").Integer(judged(sum.false_parks));
  json.Key("kicks").Integer(sum.kicks);
  json.Key("vcpu_switches_per_s").Number(summary.switches_per_second());
  json.Key("exclusion_errors").Integer(sum.exclusion_errors);
  json.EndObject();
}

void WriteDelivery(const Results& results, Subject subject, const char* path, JsonWriter& json,
                   Reasons& reasons) {
  const auto delivery =
      Note(results.Delivery(subject), absl::StrCat("hint_delivery_us.", path), reasons);
  json.Key(path).BeginObject();
  json.Key("p50").Number(delivery.has_value() ? std::optional(delivery->p50) : std::nullopt);
  json.Key("p99").Number(delivery.has_value() ? std::optional(delivery->p99) : std::nullopt);
  json.Key("samples").Integer(delivery.has_value() ? delivery->samples : 0);
  json.EndObject();
}

// One path at one ratio: what the agreement is made of.
void WritePathFacts(const Results& results, Subject subject, uint32_t ratio, JsonWriter& json) {
  const PathFacts facts = results.Facts(subject, ratio);
  const auto share = [&](uint64_t part) -> std::optional<double> {
    if (!results.setting.oracle || facts.judged_ns == 0) return std::nullopt;
    return Share(static_cast<double>(part), static_cast<double>(facts.judged_ns));
  };
  const auto us = [&](double quantile) -> std::optional<double> {
    if (!results.setting.oracle || facts.delivery_ns.Total() == 0) return std::nullopt;
    return static_cast<double>(facts.delivery_ns.Quantile(quantile)) / 1e3;
  };
  json.BeginObject();
  json.Key("vcpu_ratio").Integer(uint64_t{ratio});
  json.Key("path").String(subject == Subject::kLockhostGrpc ? "grpc" : "direct");
  json.Key("agreement").Number(share(facts.agreed_ns));
  json.Key("false_running").Number(share(facts.false_running_ns));
  json.Key("false_preempted").Number(share(facts.false_preempted_ns));
  json.Key("no_hint").Number(share(facts.no_hint_ns));
  json.Key("judged_ns").Integer(facts.judged_ns);
  json.Key("delivery_us_p50").Number(us(0.5));
  json.Key("delivery_us_p99").Number(us(0.99));
  json.Key("deliveries").Integer(facts.delivery_ns.Total());
  json.EndObject();
}

void WriteHints(const Results& results, JsonWriter& json, Reasons& reasons) {
  json.Key("hint_delivery_us").BeginObject();
  WriteDelivery(results, Subject::kLockhostGrpc, "grpc", json, reasons);
  WriteDelivery(results, Subject::kLockhostDirect, "direct", json, reasons);
  json.EndObject();
  json.Key("hint_agreement").BeginObject();
  json.Key("grpc").Number(
      Note(results.Agreement(Subject::kLockhostGrpc), "hint_agreement.grpc", reasons));
  json.Key("direct").Number(
      Note(results.Agreement(Subject::kLockhostDirect), "hint_agreement.direct", reasons));
  json.EndObject();
  json.Key("hint_paths").BeginArray();
  for (const uint32_t ratio : results.Ratios()) {
    WritePathFacts(results, Subject::kLockhostGrpc, ratio, json);
    WritePathFacts(results, Subject::kLockhostDirect, ratio, json);
  }
  json.EndArray();
}

void WritePerturbation(const Perturbation& found, JsonWriter& json, Reasons& reasons) {
  json.Key("perturbation").BeginObject();
  json.Key("idle_ratio").Number(Note(found.idle_ratio, "perturbation.idle_ratio", reasons));
  json.Key("extra_switches_per_event")
      .Number(
          Note(found.extra_switches_per_event, "perturbation.extra_switches_per_event", reasons));
  json.Key("throughput_ratio")
      .Number(Note(found.throughput_ratio, "perturbation.throughput_ratio", reasons));
  json.Key("idle_cpu_percent").Number(found.idle_cpu_percent);
  json.Key("demand_cpu_percent").Number(found.demand_cpu_percent);
  json.Key("vcpu_ratio").Integer(uint64_t{found.vcpu_ratio});
  json.Key("pairs").Integer(static_cast<uint64_t>(found.pairs));
  json.Key("idle_on_per_s").Number(found.idle_on_per_s);
  json.Key("idle_off_per_s").Number(found.idle_off_per_s);
  json.Key("demand_on_per_s").Number(found.demand_on_per_s);
  json.Key("demand_off_per_s").Number(found.demand_off_per_s);
  json.Key("events_per_s").Number(found.events_per_s);
  json.EndObject();
}

}  // namespace

std::string ToJson(const Results& results) {
  JsonWriter json;
  Reasons reasons;
  json.BeginObject();
  WriteSetting(results, json);
  WriteHints(results, json, reasons);
  WritePerturbation(results.perturbation, json, reasons);
  if (!results.setting.oracle) {
    reasons["subjects.lhp, wasted_spin_share, false_park_share"] =
        "no oracle: the agent's source is not BPF";
  }
  if (!results.setting.why_not_boosted.empty()) {
    reasons["subjects.lockhost-boost"] = results.setting.why_not_boosted;
  }
  json.Key("subjects").BeginArray();
  for (const auto& cell : results.cells) WriteCell(*cell, results.setting.oracle, json);
  json.EndArray();
  json.Key("absent").BeginObject();
  for (const auto& [key, reason] : reasons) json.Key(key).String(reason);
  json.EndObject().EndObject();
  return json.text();
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  const std::string draft = path + ".new";
  std::ofstream file(draft, std::ios::trunc);
  file << text;
  file.close();
  if (!file || std::rename(draft.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("writing ", path));
  }
  return absl::OkStatus();
}

}  // namespace lockhost::lab
