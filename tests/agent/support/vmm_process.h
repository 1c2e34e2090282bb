// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_VMM_PROCESS_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_VMM_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

namespace lockhost::agent {

// A small VM on real KVM whose VMM is a process of its own; killed at the end.
class VmmProcess {
 public:
  enum class Guest { kSpins, kHalts };

  // Returns when every vCPU has its thread. UNAVAILABLE: no KVM here. A tick wakes halted
  // vCPUs so often; 0: never.
  static absl::StatusOr<std::unique_ptr<VmmProcess>> Start(int vcpus, Guest guest,
                                                           std::chrono::microseconds tick = {});
  ~VmmProcess();
  VmmProcess(const VmmProcess&) = delete;
  VmmProcess& operator=(const VmmProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Index = vCPU id.
  std::vector<pid_t> VcpuThreads() const;
  void Signal(int signal) const;
  // SIGKILL, and waits for its end.
  void Kill();

 private:
  explicit VmmProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_VMM_PROCESS_H_
