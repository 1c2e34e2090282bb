// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_CPUS_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_CPUS_H_

#include <sched.h>
#include <unistd.h>

namespace lockhost::agent {

// Binds the calling thread to one CPU, or to none (negative).
inline void BindToCpu(int cpu) {
  const int cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_CONF));
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < cpus; ++i) {
    if (cpu < 0 || cpu == i) CPU_SET(static_cast<size_t>(i), &set);
  }
  sched_setaffinity(0, sizeof(set), &set);
}

// For the thread that looks on: on the CPU of a thread that it wants to see running it
// would see it preempted for ever. False if there is no CPU but the first.
inline bool WatchFromLastCpu() {
  const int cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  BindToCpu(cpus - 1);
  return cpus > 1;
}

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_CPUS_H_
