// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_KVM_DEBUGFS_H_
#define LOCKHOST_AGENT_KERNEL_KVM_DEBUGFS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// A VM's folder in debugfs is called "PID-FD", after the process that made it.
struct KvmDirectory {
  pid_t pid = 0;
  uint32_t fd = 0;

  bool operator==(const KvmDirectory&) const = default;
};
std::optional<KvmDirectory> ParseKvmDirectory(std::string_view name);

// KVM's files in debugfs (virt/kvm/kvm_main.c), which name the thread that ran a vCPU
// last. Pids and tids are those of the initial pid namespace. The thread may have ended:
// it is for the caller to check that the process has it. Thread-safe.
class KvmDebugfs {
 public:
  // Errors: NOT_FOUND, PERMISSION_DENIED: no debugfs, or not for this user.
  static absl::StatusOr<KvmDebugfs> Open(const std::string& sysfs_root = "/sys");

  // How many VMs each process made, among those that there are.
  std::map<pid_t, size_t> VmCounts() const;
  // The VMs that a process made: for each, tids by vCPU id; a vCPU that never ran is
  // missing.
  std::vector<std::map<uint32_t, pid_t>> Vms(pid_t pid) const;

 private:
  explicit KvmDebugfs(UniqueFd root) : root_(std::move(root)) {}
  std::map<uint32_t, pid_t> Vcpus(const std::string& directory) const;

  UniqueFd root_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_KVM_DEBUGFS_H_
