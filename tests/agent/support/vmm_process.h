// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_VMM_PROCESS_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_VMM_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// A small VM whose VMM is a process of its own; killed at the end.
class VmmProcess {
 public:
  enum class Guest { kSpins, kHalts };

  // Whether threads may stand in for vCPUs where there is no KVM (tiny_vm.h).
  enum class Backend { kKvm, kAny };

  // Returns when every vCPU has its thread. A tick wakes halted vCPUs so often; 0: never.
  // UNAVAILABLE: no KVM here.
  static absl::StatusOr<std::unique_ptr<VmmProcess>> Start(int vcpus, Guest guest,
                                                           std::chrono::microseconds tick = {},
                                                           Backend backend = Backend::kKvm);
  ~VmmProcess();
  VmmProcess(const VmmProcess&) = delete;
  VmmProcess& operator=(const VmmProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool is_kvm() const { return is_kvm_; }
  // For each agent that is to know of the VM: it finds a real one by itself, which needs nothing,
  // and must be told of threads.
  absl::Status RegisterWith(const std::string& agent_socket);
  // The same, for whoever does not wait for what becomes of it: the VMM may be killed meanwhile.
  // Once, and without RegisterWith(), which would take its answer for that one.
  absl::Status BeginRegistration(const std::string& agent_socket) const;
  // Index = vCPU id.
  std::vector<pid_t> VcpuThreads() const;
  void Signal(int signal) const;
  // SIGKILL, and waits for its end.
  void Kill();

 private:
  explicit VmmProcess(pid_t pid) : pid_(pid) {}
  std::string ReadLine() const;

  pid_t pid_;
  UniqueFd orders_;   // its standard input
  UniqueFd answers_;  // its standard output
  bool is_kvm_ = true;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_VMM_PROCESS_H_
