// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_SERVICE_FAN_OUT_H_
#define LOCKHOST_TESTS_BENCH_SERVICE_FAN_OUT_H_

#include <chrono>

#include "absl/status/statusor.h"
#include "tests/bench/service/figures.h"

namespace lockhost::bench {

struct FanOutPlan {
  int guests = 256;
  int vcpus_each = 4;
  // Each vCPU wakes so often and halts again: three changes of its run state.
  std::chrono::microseconds tick{300'000};
  std::chrono::seconds length{15};
};

// Real VMs, each in a process of its own; the real agent with BPF; the real lockhostd; and one
// thread that is all guests' agents (tests/load/support/hint_clients.h), each of which waits for
// all its vCPUs all the time. UNAVAILABLE: no KVM, FAILED_PRECONDITION: no BPF here.
absl::StatusOr<FanOut> MeasureFanOut(const FanOutPlan& plan);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_SERVICE_FAN_OUT_H_
