// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_AGENT_FIGURES_H_
#define LOCKHOST_TESTS_BENCH_AGENT_FIGURES_H_

#include <cstdint>
#include <vector>

namespace lockhost::bench {

// Of a sorted copy; 0 for none. `share` 0.5 is the median.
double Quantile(std::vector<double> values, double share);

// A fleet of small VMs whose vCPUs halt and wake.
struct FleetFigures {
  int vms = 0;
  int vcpus = 0;
  double seconds = 0;
  double switches_per_second = 0;  // of vCPUs, by /proc
  uint64_t switches = 0;           // the same, in all
  uint64_t switches_in_books = 0;  // as the agent has them
  int threads_that_differ = 0;     // of all vCPUs
  double agent_cpu_percent = 0;    // of one CPU, nobody demanding hints
  uint64_t agent_rss_bytes = 0;
};

// What one context switch between two vCPU threads takes, wake-up included.
struct SwitchCostFigures {
  std::vector<double> without_ns;  // a round each, interleaved
  std::vector<double> with_ns;
  double program_ns = 0;  // as the kernel accounts for on_switch, a run
};

struct DiscoveryFigures {
  std::vector<double> bpf_ms;  // from the start of a VM's first thread to its slot being written
  std::vector<double> procfs_ms;
  std::vector<double> gone_ms;  // from the kill to the word of it
};

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_AGENT_FIGURES_H_
