// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_AGENT_STEAL_ERROR_H_
#define LOCKHOST_TESTS_BENCH_AGENT_STEAL_ERROR_H_

#include <chrono>

#include "absl/status/statusor.h"

namespace lockhost::bench {

// Two vCPUs share a CPU for so long; then the steal time in the agent's table is compared
// with the one that KVM has written into guest memory. The worse of the two relative errors.
// UNAVAILABLE: no KVM, or it keeps no steal records; FAILED_PRECONDITION: no BPF.
absl::StatusOr<double> MeasureStealError(std::chrono::milliseconds length);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_AGENT_STEAL_ERROR_H_
