// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KVM_STATS_KVM_STATS_READER_H_
#define LOCKHOST_AGENT_KVM_STATS_KVM_STATS_READER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/kernel/procfs.h"
#include "agent/registry/vm.h"
#include "agent/table/kvm_stat_names.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// In the order of kKvmStatNames. nullopt: this kernel does not give it, or not in that unit.
using KvmStatValues = std::array<std::optional<uint64_t>, kKvmStatNames.size()>;

struct VcpuKvmStats {
  uint32_t vcpu_id = 0;
  KvmStatValues values;
};

struct KvmStats {
  std::vector<VcpuKvmStats> vcpus;
  KvmStatValues sums;  // nullopt unless every vCPU above gives it
};

struct KvmStatsCounts {
  uint64_t taken = 0;
  uint64_t refused = 0;    // by the kernel: CAP_SYS_PTRACE is missing
  uint64_t malformed = 0;  // not what a KVM statistics file looks like
};

// Reads the statistics of one process's vCPUs through the files that its VMM keeps open,
// taken with pidfd_getfd. Neither VMM nor guest notices: a read copies counters and kicks
// no vCPU. vCPUs plugged in later are seen by a new reader.
//
// A taken file keeps the VM alive inside the kernel: destroy the reader when the process
// has ended. Files with the same id are one vCPU; two VMs made by one thread cannot be told
// apart. Not thread-safe.
class KvmStatsReader {
 public:
  // NOT_FOUND: the process has ended, or its VMM keeps no such file open (QEMU before 8.1).
  // PERMISSION_DENIED: the kernel refused them. INVALID_ARGUMENT: none was well formed.
  // Adds to `counts`, also where it fails.
  static absl::StatusOr<std::unique_ptr<KvmStatsReader>> Open(const Procfs& procfs,
                                                              const ProcessId& process,
                                                              KvmStatsCounts& counts);

  absl::StatusOr<KvmStats> Read() const;
  size_t vcpus() const { return files_.size(); }  // that Read() tells of

 private:
  struct VcpuFile {
    UniqueFd fd;
    uint32_t vcpu_id = 0;
    std::string id;
    std::array<std::optional<uint32_t>, kKvmStatNames.size()> offsets;
  };

  static absl::StatusOr<VcpuFile> Take(const UniqueFd& process, const ProcFd& link);
  static absl::StatusOr<KvmStatValues> ReadValues(const VcpuFile& file);
  void Add(VcpuFile file);

  std::vector<VcpuFile> files_;
};

// "anon_inode:kvm-vcpu-stats:N".
std::optional<uint32_t> ParseVcpuStatsLink(std::string_view target);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KVM_STATS_KVM_STATS_READER_H_
