// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_HARNESS_THREAD_USAGE_H_
#define LOCKHOST_TESTS_LAB_HARNESS_THREAD_USAGE_H_

#include <sys/types.h>

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lockhost::lab {

// What threads used since they were started.
struct ThreadUsage {
  uint64_t cpu_ns = 0;
  uint64_t switches = 0;  // context switches, voluntary and not

  ThreadUsage operator-(const ThreadUsage& since) const {
    return {.cpu_ns = cpu_ns - since.cpu_ns, .switches = switches - since.switches};
  }
};

// /proc/PID/task/TID/schedstat: time on a CPU, in ns. INVALID_ARGUMENT: not that format.
absl::StatusOr<uint64_t> ParseCpuTime(absl::string_view schedstat);
// /proc/PID/task/TID/status: sum of both counts of context switches.
absl::StatusOr<uint64_t> ParseSwitches(absl::string_view status);

// Sum over threads of this process.
absl::StatusOr<ThreadUsage> ReadThreadUsage(std::span<const pid_t> tids);
// CPU time of all threads that a process has now; those that have ended are not in it.
// NOT_FOUND: no such process.
absl::StatusOr<uint64_t> ReadProcessCpuNs(pid_t pid);

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_THREAD_USAGE_H_
