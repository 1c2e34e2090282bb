// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_PROCFS_H_
#define LOCKHOST_AGENT_KERNEL_PROCFS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/kernel/proc_parse.h"
#include "agent/kernel/vmm.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// An open file of a process: its number there, and what /proc/PID/fd says that it is.
struct ProcFd {
  int number = -1;
  std::string target;
};

// What a glance at a process tells: another mark means that the pid may belong to another
// process (inode) or that its number of threads is not the same (links). Files on disk, as
// in a captured tree, never change theirs.
struct ProcessMark {
  uint64_t inode = 0;
  uint64_t links = 0;

  bool operator==(const ProcessMark&) const = default;
};

// Thin reads of a proc file system, anchored at its root directory, so that a captured
// tree can stand in for /proc. What has gone meanwhile is nullopt or empty, never an
// error: processes end when they like.
//
// Thread-safe.
class Procfs {
 public:
  static absl::StatusOr<Procfs> Open(const std::string& root = "/proc");

  // The root directory; it stays this object's.
  int fd() const { return root_.get(); }

  // Pids of all processes, and tids of one.
  std::vector<pid_t> Processes() const;
  std::vector<pid_t> Threads(pid_t pid) const;

  // One system call. Zeros if there is no such process.
  ProcessMark Mark(pid_t pid) const;

  // Of the whole host.
  std::optional<uint32_t> RunnableThreads() const;

  std::optional<ProcStat> Stat(pid_t pid) const;
  std::optional<ProcStat> ThreadStat(pid_t pid, pid_t tid) const;
  std::string ThreadName(pid_t pid, pid_t tid) const;
  VmmFacts Describe(pid_t pid) const;
  // The process holds descriptors of KVM vCPUs. False also where that cannot be seen
  // (another user's process).
  bool HoldsVcpus(pid_t pid) const;

  // Open files of a process, targets cut to 64 bytes; empty also where they cannot be seen.
  std::vector<ProcFd> Descriptors(pid_t pid) const;
  std::string ThreadCgroup(pid_t pid, pid_t tid) const;
  // Pids here are those that the kernel's own files (debugfs) speak of. False in a
  // container, and where it cannot be seen.
  bool ShowsInitialPidNamespace() const;

  // Opened for many reads: an open file of a thread that has ended never speaks of
  // another one that got its tid.
  UniqueFd OpenThreadFile(pid_t pid, pid_t tid, const char* name) const;

 private:
  explicit Procfs(UniqueFd root) : root_(std::move(root)) {}
  std::string Read(const std::string& path, size_t limit) const;
  std::vector<pid_t> Numbers(const std::string& path) const;

  UniqueFd root_;
};

// Re-reads an open proc file from its beginning; empty once its thread has gone.
std::string ReadAgain(const UniqueFd& file);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_PROCFS_H_
