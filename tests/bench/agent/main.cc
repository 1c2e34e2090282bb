// SPDX-License-Identifier: Apache-2.0

// lockhost-bench-agent: what the agent costs and how well it knows the host, on real KVM
// vCPUs. `make bench-agent`.
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/flags/flag.h"
#include "common/program_flags.h"
#include "tests/agent/support/cpus.h"
#include "tests/bench/agent/discovery.h"
#include "tests/bench/agent/fleet.h"
#include "tests/bench/agent/source_agreement.h"
#include "tests/bench/agent/steal_error.h"
#include "tests/bench/agent/switch_cost.h"

ABSL_FLAG(std::string, json, "", "also write the figures there");
ABSL_FLAG(int, vms, 256, "VMs of four vCPUs in the fleet");
ABSL_FLAG(int, seconds, 10, "how long the fleet is watched");
ABSL_FLAG(int, rounds, 7, "rounds of switches with and without the agent");
ABSL_FLAG(int, new_vms, 100, "VMs that are to be discovered by BPF; a tenth of it by procfs");

namespace lockhost::bench {
namespace {

using Json = nlohmann::ordered_json;

// What could not be measured is null, and the reason is printed.
void NotMeasured(const char* what, const absl::Status& why) {
  std::printf("%-34s not measured: %s\n", what, std::string(why.message()).c_str());
}

void AddSwitchCost(Json& json) {
  json["bpf_ns_per_switch"] = nullptr;
  const auto figures = MeasureSwitchCost(absl::GetFlag(FLAGS_rounds), 100'000);
  if (!figures.ok()) return NotMeasured("BPF cost of a switch", figures.status());
  std::vector<double> differences;
  for (size_t i = 0; i < figures->with_ns.size(); ++i) {
    differences.push_back(figures->with_ns[i] - figures->without_ns[i]);
  }
  const double cost = Quantile(differences, 0.5);
  json["bpf_ns_per_switch"] = cost;
  json["switch_ns"] = {{"without", Quantile(figures->without_ns, 0.5)},
                       {"with", Quantile(figures->with_ns, 0.5)}};
  json["on_switch_program_ns"] = figures->program_ns;
  std::printf("%-34s %.0f ns more (%.0f without, %.0f with; medians of %zu rounds)\n",
              "switch between two vCPU threads", cost, Quantile(figures->without_ns, 0.5),
              Quantile(figures->with_ns, 0.5), figures->with_ns.size());
  std::printf("%-34s %.0f ns a run\n", "  the program, by the kernel's count", figures->program_ns);
}

void AddFleet(Json& json) {
  for (const char* key : {"agent_cpu_percent", "rss_bytes", "table_lossless"}) json[key] = nullptr;
  FleetPlan plan;
  plan.vms = absl::GetFlag(FLAGS_vms);
  plan.length = std::chrono::seconds(absl::GetFlag(FLAGS_seconds));
  const auto figures = MeasureFleet(plan);
  if (!figures.ok()) return NotMeasured("fleet", figures.status());
  json["agent_cpu_percent"] = figures->agent_cpu_percent;
  json["rss_bytes"] = figures->agent_rss_bytes;
  json["table_lossless"] = figures->threads_that_differ == 0;
  json["fleet"] = {{"vms", figures->vms},
                   {"vcpus", figures->vcpus},
                   {"switches_per_second", figures->switches_per_second},
                   {"switches", figures->switches},
                   {"switches_in_books", figures->switches_in_books},
                   {"threads_that_differ", figures->threads_that_differ}};
  std::printf("%-34s %d VMs, %d vCPUs, %.0f switches/s\n", "fleet", figures->vms, figures->vcpus,
              figures->switches_per_second);
  std::printf("%-34s %lu by /proc, %lu in the books; %d of %d threads differ\n", "  switch-outs",
              figures->switches, figures->switches_in_books, figures->threads_that_differ,
              figures->vcpus);
  std::printf("%-34s %.2f%% of a CPU, %.1f MiB\n", "  agent, nobody demanding hints",
              figures->agent_cpu_percent,
              static_cast<double>(figures->agent_rss_bytes) / (1 << 20));
}

Json Quantiles(const std::vector<double>& values) {
  if (values.empty()) return nullptr;
  return {{"p50", Quantile(values, 0.5)}, {"p99", Quantile(values, 0.99)}};
}

void PrintQuantiles(const char* what, const std::vector<double>& values) {
  if (values.empty()) return NotMeasured(what, absl::UnavailableError("no such source here"));
  std::printf("%-34s p50 %.1f ms, p99 %.1f ms (n = %zu)\n", what, Quantile(values, 0.5),
              Quantile(values, 0.99), values.size());
}

void AddDiscovery(Json& json) {
  json["discovery_ms"] = nullptr;
  const int vms = absl::GetFlag(FLAGS_new_vms);
  const auto figures = MeasureDiscovery(vms, vms / 10);
  if (!figures.ok()) return NotMeasured("discovery", figures.status());
  json["discovery_ms"] = Quantiles(figures->bpf_ms);
  json["discovery_procfs_ms"] = Quantiles(figures->procfs_ms);
  json["gone_ms"] = Quantiles(figures->gone_ms);
  PrintQuantiles("new VM in the table, bpf", figures->bpf_ms);
  PrintQuantiles("new VM in the table, procfs", figures->procfs_ms);
  PrintQuantiles("killed VM out", figures->gone_ms);
}

void AddSteal(Json& json) {
  json["steal_error"] = nullptr;
  const auto error = MeasureStealError(std::chrono::seconds(3));
  if (!error.ok()) return NotMeasured("steal", error.status());
  json["steal_error"] = *error;
  std::printf("%-34s %.3f%%\n", "steal against the guest's record", *error * 100);
}

void AddAgreement(Json& json) {
  json["source_agreement"] = Json::object();
  const auto length = std::chrono::seconds(absl::GetFlag(FLAGS_seconds));
  for (const char* source : {"perf", "procfs"}) {
    json["source_agreement"][source] = nullptr;
    const auto figures = MeasureAgreement(source, length);
    if (!figures.ok()) {
      NotMeasured(source, figures.status());
      continue;
    }
    json["source_agreement"][source] = figures->agreement;
    json["source_comparison"][source] = {{"agreement", figures->agreement},
                                         {"false_running", figures->false_running},
                                         {"false_preempted", figures->false_preempted},
                                         {"delay_us_p50", Quantile(figures->delay_us, 0.5)},
                                         {"delay_us_p99", Quantile(figures->delay_us, 0.99)},
                                         {"cpu_percent", figures->cpu_percent}};
    std::printf("%-34s agrees %.3f; false RUNNING %.3f, PREEMPTED %.3f\n", source,
                figures->agreement, figures->false_running, figures->false_preempted);
    std::printf("%-34s delay p50 %.0f us, p99 %.0f us; %.2f%% of a CPU\n", "",
                Quantile(figures->delay_us, 0.5), Quantile(figures->delay_us, 0.99),
                figures->cpu_percent);
  }
}

int Run() {
  utsname system{};
  uname(&system);
  const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  std::printf("lockhost-agent on %ld CPUs, Linux %s\n", cpus, system.release);
  Json json = {{"cpus", cpus}, {"kernel", system.release}};
  AddSwitchCost(json);
  AddSteal(json);
  AddAgreement(json);
  AddDiscovery(json);
  AddFleet(json);
  const std::string path = absl::GetFlag(FLAGS_json);
  if (path.empty()) return 0;
  std::ofstream file(path);
  file << json.dump(2) << "\n";
  file.close();
  if (file) return 0;
  std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return 1;
}

}  // namespace
}  // namespace lockhost::bench

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv, "Measures lockhost-agent on real KVM vCPUs.");
  lockhost::agent::WatchFromLastCpu();
  return lockhost::bench::Run();
}
