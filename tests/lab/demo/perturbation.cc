// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/demo/perturbation.h"

#include <chrono>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"

namespace lockhost::lab {
namespace {

// Sums over all pairs.
struct Tally {
  double switches = 0;
  double acquisitions = 0;
  double seconds = 0;
  uint64_t daemons_ns = 0;  // CPU time of the daemons within `daemons_seconds`
  double daemons_seconds = 0;
  void Add(const RunResult& run) {
    switches += static_cast<double>(run.usage.switches);
    acquisitions += static_cast<double>(run.TotalAcquisitions());
    seconds += run.seconds;
  }
  double PerSecond() const { return Share(switches, seconds); }
  double Throughput() const { return Share(acquisitions, seconds); }
  double CpuPercent() const {
    return Share(static_cast<double>(daemons_ns) / 1e7, daemons_seconds);
  }
};

struct Tallies {
  Tally idle_on, idle_off, demand_on, demand_off;
  double events = 0;
};

// No demand: a lock that knows nothing of lockhost. Any other process that runs on these
// CPUs shows as context switches of the vCPUs.
RunSpec IdleSpec(const Plan& plan) {
  return {.subject = Subject::kTestAndSet,
          .critical_ns = plan.sections.front().critical_ns,
          .gap_ns = plan.sections.front().gap_ns,
          .duration = plan.perturbation_time};
}

// Demand: lockhost's lock without hints. It marks whom it waits for and rings, so the
// whole path works as under lockhost-grpc, yet it looks at no page: how often it parks
// does not depend on whether hints arrive, so on minus off is the price of the daemons
// alone.
RunSpec DemandSpec(const Plan& plan) {
  RunSpec spec = IdleSpec(plan);
  spec.subject = Subject::kLockhostNoHints;
  spec.show_demand = true;
  return spec;
}

class Measurement {
 public:
  Measurement(Session& session, const Plan& plan, const MayGoOn& may_go_on, Progress& progress)
      : session_(session), plan_(plan), may_go_on_(may_go_on), progress_(progress) {}

  // Pairs in turn on-off and off-on: what drifts slowly cancels out, and daemons that are
  // up stay up.
  absl::Status Run() {
    absl::Status done = session_.StopDaemons();
    for (int pair = 0; pair < plan_.perturbation_pairs && done.ok(); ++pair) {
      const bool on_first = pair % 2 == 0;
      done = on_first ? RunOn() : RunOff();
      if (done.ok()) done = on_first ? RunOff() : RunOn();
    }
    return done.ok() ? BringDown() : done;
  }
  const Tallies& tallies() const { return tallies_; }

 private:
  absl::Status RunOn() {
    if (!up_) {
      if (absl::Status started = session_.StartDaemons(); !started.ok()) return started;
      up_ = true;
    }
    return RunBoth("on", tallies_.idle_on, tallies_.demand_on);
  }
  absl::Status RunOff() {
    if (absl::Status down = BringDown(); !down.ok()) return down;
    return RunBoth("off", tallies_.idle_off, tallies_.demand_off);
  }

  // Guestd writes its counters as it ends.
  absl::Status BringDown() {
    if (!up_) return absl::OkStatus();
    up_ = false;
    if (absl::Status stopped = session_.StopDaemons(); !stopped.ok()) return stopped;
    const absl::StatusOr<std::map<std::string, uint64_t>> counters =
        session_.daemons()->GuestStats();
    if (!counters.ok()) return counters.status();
    const auto deltas = counters->find("deltas");
    if (deltas != counters->end()) tallies_.events += static_cast<double>(deltas->second);
    return absl::OkStatus();
  }

  absl::Status RunBoth(const char* daemons, Tally& idle, Tally& demand) {
    absl::Status done = RunOne(IdleSpec(plan_), absl::StrCat("daemons ", daemons, ", idle"), idle);
    if (!done.ok()) return done;
    return RunOne(DemandSpec(plan_), absl::StrCat("daemons ", daemons, ", demand"), demand);
  }
  absl::Status RunOne(const RunSpec& spec, const std::string& what, Tally& tally) {
    if (absl::Status go = may_go_on_(); !go.ok()) return go;
    progress_.Step(what);
    const absl::StatusOr<uint64_t> before_ns = DaemonsCpuNs();
    const auto begin = std::chrono::steady_clock::now();
    const absl::StatusOr<RunResult> run = session_.Run(spec);
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    if (up_) {
      if (absl::Status alive = session_.CheckDaemons(); !alive.ok()) return alive;
    }
    if (!run.ok()) return run.status();
    const absl::StatusOr<uint64_t> after_ns = DaemonsCpuNs();
    if (!before_ns.ok()) return before_ns.status();
    if (!after_ns.ok()) return after_ns.status();
    tally.Add(*run);
    tally.daemons_ns += *after_ns - *before_ns;
    tally.daemons_seconds += passed.count();
    return absl::OkStatus();
  }
  absl::StatusOr<uint64_t> DaemonsCpuNs() {
    return up_ ? session_.daemons()->CpuNs() : absl::StatusOr<uint64_t>(0);
  }

  Session& session_;
  const Plan& plan_;
  const MayGoOn& may_go_on_;
  Progress& progress_;
  bool up_ = false;
  Tallies tallies_;
};

}  // namespace

absl::StatusOr<Perturbation> MeasurePerturbation(Session& session, const Plan& plan,
                                                 const MayGoOn& may_go_on, Progress& progress) {
  Measurement measurement(session, plan, may_go_on, progress);
  if (absl::Status ran = measurement.Run(); !ran.ok()) return ran;
  const Tallies& all = measurement.tallies();
  Perturbation found = {.vcpu_ratio = plan.perturbation_ratio,
                        .pairs = plan.perturbation_pairs,
                        .idle_on_per_s = all.idle_on.PerSecond(),
                        .idle_off_per_s = all.idle_off.PerSecond(),
                        .demand_on_per_s = all.demand_on.PerSecond(),
                        .demand_off_per_s = all.demand_off.PerSecond(),
                        .events_per_s = Share(all.events, all.demand_on.seconds),
                        .idle_ratio = {},
                        .extra_switches_per_event = {},
                        .throughput_ratio = {},
                        .idle_cpu_percent = all.idle_on.CpuPercent(),
                        .demand_cpu_percent = all.demand_on.CpuPercent()};
  if (found.idle_off_per_s > 0) {
    found.idle_ratio.value = found.idle_on_per_s / found.idle_off_per_s;
  } else {
    found.idle_ratio.absent_because = "the vCPUs were never switched";
  }
  if (found.events_per_s > 0) {
    found.extra_switches_per_event.value =
        (found.demand_on_per_s - found.demand_off_per_s) / found.events_per_s;
  } else {
    found.extra_switches_per_event.absent_because = "no hint event was delivered";
  }
  if (all.demand_off.acquisitions > 0) {
    found.throughput_ratio.value = all.demand_on.Throughput() / all.demand_off.Throughput();
  } else {
    found.throughput_ratio.absent_because = "the lock was never taken";
  }
  return found;
}

}  // namespace lockhost::lab
