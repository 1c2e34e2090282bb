// SPDX-License-Identifier: Apache-2.0
//
// lockhost-bench-service: what the hint service takes and costs, on real KVM vCPUs. Where there
// is no KVM threads stand in for them, and the report says so.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "common/program_flags.h"
#include "tests/agent/support/tiny_vm.h"
#include "tests/bench/service/fan_out.h"
#include "tests/bench/service/one_vm.h"
#include "tests/bench/service/report.h"

ABSL_FLAG(std::string, json, "", "also write the results there");
ABSL_FLAG(int, runs, 20, "runs of a second each at each overcommit; 0: no delivery");
ABSL_FLAG(int, pairs, 10, "pairs of runs with and without the daemons; 0: no cost");
ABSL_FLAG(int, guests, 256, "guests of the fan-out; 0: none");
ABSL_FLAG(int, seconds, 15, "length of the fan-out");

namespace lockhost::bench {
namespace {

// Each guest has a connection, and lockhostd inherits the limit.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void Say(const char* what) {
  if (isatty(STDERR_FILENO)) std::fprintf(stderr, "measuring: %s\n", what);
}

std::string WhyNotKvm() {
  const absl::Status kvm = agent::TinyVm::Create(1).status();
  return kvm.ok() ? "" : std::string(kvm.message());
}

Figures MeasureAll() {
  Figures figures;
  figures.why_not_kvm = WhyNotKvm();
  const int runs = absl::GetFlag(FLAGS_runs);
  for (const uint32_t overcommit : {1u, 2u, 4u}) {
    if (runs == 0) break;
    const std::string name = absl::StrCat("delivery at ", overcommit, "x");
    Say(name.c_str());
    const auto delivery = MeasureDelivery(overcommit, runs);
    if (delivery.ok()) {
      figures.delivery.push_back(*delivery);
    } else {
      figures.absent[name] = delivery.status().ToString();
    }
  }
  if (const int pairs = absl::GetFlag(FLAGS_pairs); pairs > 0) {
    Say("cost");
    const auto cost = MeasureCost(pairs);
    if (cost.ok()) {
      figures.cost = *cost;
    } else {
      figures.absent["cost"] = cost.status().ToString();
    }
  }
  FanOutPlan plan;
  plan.guests = absl::GetFlag(FLAGS_guests);
  plan.length = std::chrono::seconds(absl::GetFlag(FLAGS_seconds));
  if (plan.guests == 0) return figures;
  Say("fan-out");
  const auto fan_out = MeasureFanOut(plan);
  if (fan_out.ok()) {
    figures.fan_out = *fan_out;
  } else {
    figures.absent["fan-out"] = fan_out.status().ToString();
  }
  return figures;
}

int Run() {
  utsname system{};
  uname(&system);
  const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  const Figures figures = MeasureAll();
  std::printf("The hint service on %ld CPUs, Linux %s\n%s", cpus, system.release,
              Table(figures).c_str());
  const std::string path = absl::GetFlag(FLAGS_json);
  if (path.empty()) return 0;
  if (WriteJson(path, cpus, system.release, figures)) return 0;
  std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return 1;
}

}  // namespace
}  // namespace lockhost::bench

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv, "Measures the hint service.");
  // Should a daemon leave a process behind, it becomes ours, and ends with us.
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  lockhost::bench::RaiseDescriptorLimit();
  return lockhost::bench::Run();
}
