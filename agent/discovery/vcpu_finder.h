// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DISCOVERY_VCPU_FINDER_H_
#define LOCKHOST_AGENT_DISCOVERY_VCPU_FINDER_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "agent/kernel/procfs.h"
#include "agent/registry/vm.h"
#include "common/clock.h"

namespace lockhost::agent {

// A thread that runs a vCPU.
struct VcpuThread {
  uint32_t vcpu_id = 0;
  pid_t tid = 0;

  bool operator==(const VcpuThread&) const = default;
};

// Finds VMs and their vCPU threads in /proc, for sources that the kernel tells of neither.
// What it cannot know: vCPUs whose threads bear no name it knows, and two VMs in one
// process apart.
//
// Not thread-safe.
class VcpuFinder {
 public:
  // How long until a scan is due again.
  static constexpr std::chrono::seconds kScanPeriod{1};

  // `procfs` shows the processes and must outlive the finder.
  VcpuFinder(const Procfs* procfs, Clock clock) : procfs_(procfs), clock_(clock) {}

  // Never scanned, or kScanPeriod ago.
  bool IsScanDue() const;

  // Processes with vCPU threads, followed or not, among those that are due: a new process
  // is looked at in every scan, an old one seldom. A sighting's key is the pid.
  std::vector<VmSighting> Scan();

  // vCPU threads that the process has now, each vCPU id once.
  std::vector<VcpuThread> Threads(pid_t pid) const;

  // Processes that hold vCPUs and have no thread of a known name, as of the last scan.
  size_t nameless() const { return nameless_.size(); }

 private:
  struct Known {
    uint64_t first_seen_ns = 0;
    uint64_t examined_at_ns = 0;  // 0: never
  };

  bool ShowsVcpus(pid_t pid);

  const Procfs* procfs_;
  Clock clock_;
  std::map<pid_t, Known> known_;
  std::set<pid_t> nameless_;
  uint64_t scanned_at_ns_ = 0;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_DISCOVERY_VCPU_FINDER_H_
