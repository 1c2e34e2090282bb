// SPDX-License-Identifier: Apache-2.0
//
// Runs one subject for a while on a lab machine and takes down what happened.
#ifndef LOCKHOST_TESTS_LAB_HARNESS_RUNNER_H_
#define LOCKHOST_TESTS_LAB_HARNESS_RUNNER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/lab/harness/pages.h"
#include "tests/lab/harness/thread_usage.h"
#include "tests/lab/vmm/machine.h"

namespace lockhost::lab {

struct RunSpec {
  Subject subject = Subject::kTestAndSet;
  uint64_t critical_ns = 400;
  uint64_t gap_ns = 200;
  std::chrono::milliseconds duration{1000};
  // Report page that the guestd of the gRPC path watches: what waits there is demand.
  bool show_demand = false;
  // kLockhostGrpc: the host boosts whom the guest names over gRPC, and reads no report word
  // itself, so that it does not know of lock-holder preemptions either.
  bool grpc_boosts = false;
  // Holders are boosted, whatever the subject.
  bool boost = false;

  bool watched() const { return show_demand || subject == Subject::kLockhostGrpc; }
  bool boosted() const {
    return boost || subject == Subject::kLockhostBoost ||
           (grpc_boosts && subject == Subject::kLockhostGrpc);
  }
  bool reports_readable() const { return !(grpc_boosts && subject == Subject::kLockhostGrpc); }
};

// Sums over the vCPUs of one run. Times in ns.
struct RunResult {
  double seconds = 0;
  std::vector<uint64_t> acquisitions;               // of each vCPU, within `seconds`
  uint64_t exclusion_errors = 0;                    // 0, or the lock is broken
  ThreadUsage usage;                                // of the vCPU threads
  std::optional<uint64_t> lock_holder_preemptions;  // none without a table

  uint64_t spins = 0, spin_ns = 0, wasted_spin_ns = 0;
  uint64_t parks = 0, false_parks = 0, park_ns = 0, kicks = 0;
  uint64_t judged_ns = 0, agreed_ns = 0, false_running_ns = 0, false_preempted_ns = 0;
  uint64_t no_hint_ns = 0;
  Histogram acquire_ns;
  Histogram delivery_ns;

  uint64_t TotalAcquisitions() const;
  double Throughput() const { return static_cast<double>(TotalAcquisitions()) / seconds; }
  // Slowest vCPU / fastest vCPU.
  double Fairness() const;
};

// Used by one thread. `machine` and `pages` must outlive it.
class Runner {
 public:
  // Finds out how fast the guest computes (a fraction of a second).
  static absl::StatusOr<Runner> Create(Machine* machine, Pages* pages);

  // One run. ABORTED: a vCPU failed; DEADLINE_EXCEEDED: the subject made no progress
  // to its end; INTERNAL: mutual exclusion was violated, or counts do not add up.
  // `during`, if any, is called again and again while the run lasts.
  absl::StatusOr<RunResult> Run(const RunSpec& spec, const std::function<void()>& during = nullptr);

  // Keeps all vCPUs busy without a lock until `done` says so or time runs out.
  absl::Status Busy(std::chrono::milliseconds limit, const std::function<bool()>& done);

 private:
  Runner(Machine* machine, Pages* pages) : machine_(*machine), pages_(*pages) {}
  absl::Status Calibrate();
  void Configure(const RunSpec& spec);
  std::vector<uint64_t> Counts() const;
  absl::Status Check(const RunResult& result) const;
  RunResult Collect(const GuestClock& clock) const;

  Machine& machine_;
  Pages& pages_;
  double loops_per_ns_ = 1.0;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_RUNNER_H_
