// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_AGENT_DISCOVERY_H_
#define LOCKHOST_TESTS_BENCH_AGENT_DISCOVERY_H_

#include "absl/status/statusor.h"
#include "tests/bench/agent/figures.h"

namespace lockhost::bench {

// How soon a new VM's first vCPU has a state in its table, by BPF and by procfs, and how
// soon a killed one is gone. The VMs' processes are new each time and their vCPU halts and
// wakes every millisecond, so that there is a switch to be seen.
// UNAVAILABLE: no KVM here. A source that cannot be had leaves its figures empty.
absl::StatusOr<DiscoveryFigures> MeasureDiscovery(int vms_by_bpf, int vms_by_procfs);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_AGENT_DISCOVERY_H_
