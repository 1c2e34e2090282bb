// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_AGENT_SWITCH_COST_H_
#define LOCKHOST_TESTS_BENCH_AGENT_SWITCH_COST_H_

#include "absl/status/statusor.h"
#include "tests/bench/agent/figures.h"

namespace lockhost::bench {

// Two vCPU threads on one CPU hand a token to and fro, in rounds with and without an agent.
// Their vCPUs are bound, so each switch runs the whole of the programs.
// UNAVAILABLE: no KVM, FAILED_PRECONDITION: no BPF here.
absl::StatusOr<SwitchCostFigures> MeasureSwitchCost(int rounds, int switches_each);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_AGENT_SWITCH_COST_H_
