// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_CPU_CGROUP_H_
#define LOCKHOST_AGENT_KERNEL_CPU_CGROUP_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kernel/procfs.h"

// With whom a thread competes for CPU time by its niceness: nice is a weight among the
// threads of one control group of the CPU controller, and says nothing to those outside it.
namespace lockhost::agent {

struct CpuCgroup {
  bool unified = false;  // version 2
  std::string path;      // "/" is the root, where most threads of a host are

  bool operator==(const CpuCgroup&) const = default;
};

// From /proc/PID/task/TID/cgroup: the group of version 1's CPU controller where it is
// mounted, else that of version 2. nullopt: none is named. Pure.
std::optional<CpuCgroup> ParseCpuCgroup(std::string_view text);

// Whether `members` (the text of a cgroup's list of threads) names one that is not among
// `threads`. Pure.
bool NamesAnother(std::string_view members, const std::vector<pid_t>& threads);

// Whether the threads of that process have a CPU controller's group to themselves, that of
// this thread: then to weigh less costs the thread nothing that others would gain. nullopt:
// it cannot be seen. `sysfs_root`: usually "/sys".
std::optional<bool> HasCpuCgroupToItself(const Procfs& procfs, const std::string& sysfs_root,
                                         pid_t pid, pid_t tid);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_CPU_CGROUP_H_
