// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_BOOST_NEIGHBOUR_VM_H_
#define LOCKHOST_TESTS_BENCH_BOOST_NEIGHBOUR_VM_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/lab/harness/child_process.h"
#include "tests/lab/harness/run_directory.h"
#include "tests/lab/vmm/shared_memory.h"

namespace lockhost::bench {

// So much was done by then.
struct Work {
  uint64_t done = 0;
  uint64_t at_ns = 0;  // CLOCK_MONOTONIC
};

// A second VM, in a process of its own, whose vCPUs compete for a spin-then-futex lock until
// it ends. Nobody boosts it: it has no report page. Used by one thread, which must live as
// long as it is wanted.
class NeighbourVm {
 public:
  // Returns when its vCPUs run.
  static absl::StatusOr<std::unique_ptr<NeighbourVm>> Start(uint32_t vcpus);

  pid_t pid() const { return process_.pid(); }
  const std::vector<pid_t>& vcpu_tids() const { return tids_; }
  // Acquisitions, as it told last, some milliseconds ago at most if it has a CPU.
  Work Done() const;
  // OK, or how it has ended.
  absl::Status Check() { return process_.Check(); }

 private:
  NeighbourVm() = default;
  std::unique_ptr<lab::RunDirectory> directory_;  // of its log
  lab::SharedMemory memory_;
  lab::ChildProcess process_;
  std::vector<pid_t> tids_;
};

// What that process does; `fd` is the memory that it shares. Returns in an error alone.
absl::Status BeNeighbourVm(uint32_t vcpus, int fd);

// Nanoseconds of CLOCK_MONOTONIC.
uint64_t NowNs();

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_BOOST_NEIGHBOUR_VM_H_
