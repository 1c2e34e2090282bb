// SPDX-License-Identifier: Apache-2.0
//
// Where vCPU threads sleep between runs, and where the harness waits for them.
#ifndef LOCKHOST_TESTS_LAB_VMM_VCPU_GATE_H_
#define LOCKHOST_TESTS_LAB_VMM_VCPU_GATE_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

#include "absl/status/status.h"

namespace lockhost::lab {

// Thread-safe.
class VcpuGate {
 public:
  explicit VcpuGate(uint32_t vcpus) : vcpus_(vcpus) {}

  // By a vCPU thread. Sleeps until the next run; false: the machine is going down.
  bool Park();
  // By a vCPU thread, as its last word: it will not run again.
  void Fail(const std::string& why);

  // By the harness. REQUIRES: all vCPUs are parked.
  void Open();
  // Waits until all are parked: OK. ABORTED: a vCPU failed, and why;
  // DEADLINE_EXCEEDED: some still run.
  absl::Status WaitUntilAllParked(std::chrono::milliseconds timeout);
  // Nobody parks any more.
  void Close();
  bool closed();

 private:
  const uint32_t vcpus_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t run_ = 0;
  uint32_t parked_ = 0;
  bool closed_ = false;
  std::string failure_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_VMM_VCPU_GATE_H_
