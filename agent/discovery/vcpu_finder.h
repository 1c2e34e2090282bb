// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DISCOVERY_VCPU_FINDER_H_
#define LOCKHOST_AGENT_DISCOVERY_VCPU_FINDER_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/kernel/kvm_debugfs.h"
#include "agent/kernel/procfs.h"
#include "agent/kernel/vcpu_threads.h"
#include "agent/registry/vm.h"
#include "common/clock.h"

namespace lockhost::agent {

// A thread that runs a vCPU.
struct VcpuThread {
  uint32_t vcpu_id = 0;
  pid_t tid = 0;

  bool operator==(const VcpuThread&) const = default;
};

// Finds VMs and their vCPU threads in /proc, for sources that the kernel tells of neither:
// by thread names, by KVM's debugfs, by libvirt's control groups (kernel/vcpu_threads.h).
// What it cannot know: vCPUs that none of these shows, and two VMs in one process apart.
//
// Not thread-safe.
class VcpuFinder {
 public:
  // How long until a scan is due again: with the scan itself and whatever the agent's
  // thread does meanwhile, a new VM is seen within a second.
  static constexpr std::chrono::milliseconds kScanPeriod{800};

  // `procfs` shows the processes and must outlive the finder. debugfs is looked for below
  // `sysfs_root` until it is there: it may be mounted, and KVM loaded, later.
  VcpuFinder(const Procfs* procfs, std::string sysfs_root, Clock clock)
      : procfs_(procfs), sysfs_root_(std::move(sysfs_root)), clock_(clock) {}

  // Never scanned, or kScanPeriod ago.
  bool IsScanDue() const;

  // Processes with vCPU threads, followed or not, among those that are due: a new process
  // is looked at in every scan, an old one when its threads have become more or fewer,
  // when debugfs speaks of it, and seldom otherwise. A sighting's key is the pid.
  std::vector<VmSighting> Scan();

  // vCPU threads that the process has now, each vCPU id once. Empty if its pid belongs to
  // another process by now.
  std::vector<VcpuThread> Threads(const ProcessId& process) const;

  // Processes that hold vCPUs and of which nothing tells the threads, as of the last scan.
  size_t nameless() const { return nameless_.size(); }
  // Processes with several VMs, as far as debugfs shows, as of the last scan.
  size_t several_vms() const { return several_vms_; }

 private:
  struct Known {
    ProcessMark mark;
    uint64_t first_seen_ns = 0;
    uint64_t examined_at_ns = 0;  // 0: never
    bool shows_vcpus = false;     // when it was last looked at
  };

  void LookAtDebugfs();
  std::optional<VmSighting> Examine(pid_t pid, Known& known, uint64_t now_ns);
  bool IsDue(pid_t pid, const Known& known, uint64_t now_ns) const;
  bool ShowsVcpus(pid_t pid);

  const Procfs* procfs_;
  const std::string sysfs_root_;
  Clock clock_;
  std::optional<KvmDebugfs> debugfs_;
  std::map<pid_t, size_t> vm_counts_;  // by process, as debugfs showed in this scan
  std::map<pid_t, Known> known_;
  std::set<pid_t> nameless_;
  size_t several_vms_ = 0;
  uint64_t scanned_at_ns_ = 0;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_DISCOVERY_VCPU_FINDER_H_
