// SPDX-License-Identifier: Apache-2.0
//
// The workload `lab`: one contended lock on the vCPUs of a real microVM, which the host's
// scheduler takes off their CPUs (tests/lab). The locks are the lab guest's own.
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_LAB_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_LAB_H_

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/bench/locks/results.h"
#include "tests/lab/abi/lab_abi.h"
#include "tests/lab/harness/session.h"

namespace lockhost::bench {

struct LabPlan {
  std::vector<Cell> cells;  // those of one VM together
  std::vector<lab::Subject> subjects;
  // Threads that stand in for vCPUs are preempted as these are, but are no VM.
  lab::BackendChoice backend = lab::BackendChoice::kKvm;
  int runs = 5;
  std::chrono::milliseconds run_time{300};
};

struct LabFacts {
  bool is_kvm = false;
  std::string why_not_kvm = {};
  std::string why_not_boosted = {};  // if not empty, the rows of lockhost-boost are absent
};

// Every lock of the guest, in the order in which they are shown.
std::vector<lab::Subject> LabSubjects();
// "lockhost-direct" is of this library, "mcs" is a peer.
bool IsOurs(lab::Subject subject);

// In each cell all locks in turn, run by run, so that what the machine does besides hits all
// alike. Adds to `rows` whole cells alone. FAILED_PRECONDITION: this machine cannot, and why;
// anything else is a fault. Called by a thread that lives as long as the process.
absl::Status MeasureLab(const LabPlan& plan, const std::function<void(const Cell&)>& say,
                        LabFacts* facts, std::vector<Row>* rows);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_LAB_H_
