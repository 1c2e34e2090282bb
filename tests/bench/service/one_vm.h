// SPDX-License-Identifier: Apache-2.0
//
// What is measured on one VM of the lab, with all three daemons beside it.
#ifndef LOCKHOST_TESTS_BENCH_SERVICE_ONE_VM_H_
#define LOCKHOST_TESTS_BENCH_SERVICE_ONE_VM_H_

#include <chrono>
#include <cstdint>

#include "absl/status/statusor.h"
#include "tests/bench/service/figures.h"

namespace lockhost::bench {

// Waiters on one contended lock whose holder is preempted, `overcommit` vCPUs for each CPU. Runs of
// a second each, short and long critical sections in turn.
// UNAVAILABLE: no KVM; FAILED_PRECONDITION: no BPF here.
absl::StatusOr<Delivery> MeasureDelivery(uint32_t overcommit, int runs);

// The same lock at two vCPUs for each CPU, with the daemons up and stopped, in so many pairs.
absl::StatusOr<lab::Perturbation> MeasureCost(int pairs);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_SERVICE_ONE_VM_H_
