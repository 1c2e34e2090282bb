// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/runner.h"

#include <algorithm>
#include <numeric>
#include <thread>

#include "absl/strings/str_cat.h"

namespace lockhost::lab {
namespace {

using std::chrono::steady_clock;

// How long vCPUs may take to leave a run: on a full host each hand-over of a fair lock
// can cost some time slices.
constexpr std::chrono::seconds kDrainTimeout{20};
constexpr std::chrono::milliseconds kPollInterval{2};

constexpr uint64_t kObservationCapNs = 20'000;
constexpr uint64_t kWatchingNs = 5'000;

constexpr uint64_t kCalibrationLoops = 5'000;
constexpr std::chrono::milliseconds kCalibrationTime{60};

Histogram InNs(const Histogram& ticks, const GuestClock& clock) {
  Histogram ns = {};
  for (uint32_t i = 0; i < Histogram::kBuckets; ++i) {
    ns.count[Histogram::BucketOf(clock.TicksToNs(Histogram::ValueOf(i)))] += ticks.count[i];
  }
  ns.max = clock.TicksToNs(ticks.max);
  return ns;
}

}  // namespace

uint64_t RunResult::TotalAcquisitions() const {
  return std::accumulate(acquisitions.begin(), acquisitions.end(), uint64_t{0});
}

double RunResult::Fairness() const {
  const auto [least, most] = std::minmax_element(acquisitions.begin(), acquisitions.end());
  if (least == acquisitions.end() || *most == 0) return 0;
  return static_cast<double>(*least) / static_cast<double>(*most);
}

absl::StatusOr<Runner> Runner::Create(Machine* machine, Pages* pages) {
  Runner runner(machine, pages);
  if (absl::Status calibrated = runner.Calibrate(); !calibrated.ok()) return calibrated;
  return runner;
}

absl::Status Runner::Calibrate() {
  const auto end = steady_clock::now() + kCalibrationTime;
  const absl::Status ran =
      Busy(std::chrono::seconds(10), [&] { return steady_clock::now() >= end; });
  if (!ran.ok()) return ran;
  const GuestClock clock = machine_.config().clock;
  const uint64_t ticks = machine_.stats(0).acquire.Quantile(0.5);
  const uint64_t ns = clock.TicksToNs(ticks);
  if (ns == 0) return absl::InternalError("calibration: the guest computed nothing");
  loops_per_ns_ = static_cast<double>(kCalibrationLoops) / static_cast<double>(ns);
  return absl::OkStatus();
}

absl::Status Runner::Busy(std::chrono::milliseconds limit, const std::function<bool()>& done) {
  RunConfig& config = machine_.PrepareRun();
  config.subject = Subject::kBusy;
  config.critical_loops = kCalibrationLoops;
  pages_.Assign(Subject::kBusy, /*watched=*/false, config);
  const auto deadline = steady_clock::now() + limit;
  machine_.Start();
  bool finished = done();
  while (!finished && steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kPollInterval);
    finished = done();
  }
  machine_.RequestStop();
  absl::Status parked = machine_.WaitUntilAllParked(kDrainTimeout);
  if (!parked.ok()) return parked;
  return finished ? absl::OkStatus()
                  : absl::DeadlineExceededError("what was waited for did not come");
}

void Runner::Configure(const RunSpec& spec) {
  RunConfig& config = machine_.PrepareRun();
  config.subject = spec.subject;
  config.critical_loops =
      static_cast<uint64_t>(static_cast<double>(spec.critical_ns) * loops_per_ns_);
  config.critical_ns = spec.critical_ns;
  config.gap_loops = static_cast<uint64_t>(static_cast<double>(spec.gap_ns) * loops_per_ns_);
  config.observation_cap_ticks = config.clock.NsToTicks(kObservationCapNs);
  config.watching_ticks = config.clock.NsToTicks(kWatchingNs);
  pages_.Assign(spec.subject, spec.watched(), config);
}

std::vector<uint64_t> Runner::Counts() const {
  std::vector<uint64_t> counts(machine_.vcpus());
  for (uint32_t i = 0; i < machine_.vcpus(); ++i) {
    counts[i] = __atomic_load_n(&machine_.stats(i).acquisitions, __ATOMIC_RELAXED);
  }
  return counts;
}

absl::StatusOr<RunResult> Runner::Run(const RunSpec& spec, const std::function<void()>& during) {
  Configure(spec);
  const uint64_t preemptions = pages_.LockHolderPreemptions();
  const absl::StatusOr<ThreadUsage> before = ReadThreadUsage(machine_.vcpu_tids());
  if (!before.ok()) return before.status();
  const auto begin = steady_clock::now();
  machine_.Start();
  if (during == nullptr) std::this_thread::sleep_until(begin + spec.duration);
  while (steady_clock::now() < begin + spec.duration) during();
  const std::vector<uint64_t> counts = Counts();
  const std::chrono::duration<double> elapsed = steady_clock::now() - begin;
  machine_.RequestStop();
  if (absl::Status parked = machine_.WaitUntilAllParked(kDrainTimeout); !parked.ok()) return parked;
  const absl::StatusOr<ThreadUsage> after = ReadThreadUsage(machine_.vcpu_tids());
  if (!after.ok()) return after.status();

  RunResult result = Collect(machine_.config().clock);
  result.seconds = elapsed.count();
  result.acquisitions = counts;
  result.usage = *after - *before;
  if (pages_.table_slots() != 0 && spec.reports_readable()) {
    result.lock_holder_preemptions = pages_.LockHolderPreemptions() - preemptions;
  }
  if (absl::Status checked = Check(result); !checked.ok()) return checked;
  return result;
}

RunResult Runner::Collect(const GuestClock& clock) const {
  RunResult result;
  Histogram acquire = {};
  result.delivery_ns = {};
  for (uint32_t i = 0; i < machine_.vcpus(); ++i) {
    const VcpuStats& stats = machine_.stats(i);
    result.exclusion_errors += stats.exclusion_errors;
    result.spins += stats.spins;
    result.spin_ns += clock.TicksToNs(stats.spin_ticks);
    result.wasted_spin_ns += clock.TicksToNs(stats.wasted_spin_ticks);
    result.parks += stats.parks;
    result.false_parks += stats.false_parks;
    result.park_ns += clock.TicksToNs(stats.park_ticks);
    result.kicks += stats.kicks;
    result.judged_ns += clock.TicksToNs(stats.judged_ticks);
    result.agreed_ns += clock.TicksToNs(stats.agreed_ticks);
    result.false_running_ns += clock.TicksToNs(stats.false_running_ticks);
    result.false_preempted_ns += clock.TicksToNs(stats.false_preempted_ticks);
    result.no_hint_ns += clock.TicksToNs(stats.no_hint_ticks);
    acquire.Merge(stats.acquire);
    result.delivery_ns.Merge(stats.delivery_ns);
  }
  result.acquire_ns = InNs(acquire, clock);
  return result;
}

// The counter pair of the critical section against what the vCPUs say they did.
absl::Status Runner::Check(const RunResult& result) const {
  uint64_t acquisitions = 0;
  for (const uint64_t count : Counts()) acquisitions += count;
  const SharedArea& shared = machine_.shared();
  const uint64_t entered = shared.entered;
  const uint64_t left = shared.left;
  if (result.exclusion_errors == 0 && entered == acquisitions && left == acquisitions) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("mutual exclusion violated: ", acquisitions,
                                          " acquisitions, ", entered, " entries, ", left,
                                          " exits, ", result.exclusion_errors, " overlaps seen"));
}

}  // namespace lockhost::lab
