// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_AGENT_FLEET_H_
#define LOCKHOST_TESTS_BENCH_AGENT_FLEET_H_

#include <chrono>

#include "absl/status/statusor.h"
#include "tests/bench/agent/figures.h"

namespace lockhost::bench {

struct FleetPlan {
  int vms = 256;
  int vcpus_each = 4;
  std::chrono::microseconds tick{20'000};  // each vCPU wakes so often
  std::chrono::seconds length{10};
};

// Runs the fleet, each VM in a process of its own, under an agent with BPF that serves
// nobody. Counts are compared while all VMMs are stopped: then /proc and the books both
// stand still. UNAVAILABLE: no KVM, FAILED_PRECONDITION: no BPF here.
absl::StatusOr<FleetFigures> MeasureFleet(const FleetPlan& plan);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_AGENT_FLEET_H_
