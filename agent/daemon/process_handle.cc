// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/process_handle.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"

namespace lockhost::agent {

absl::StatusOr<UniqueFd> OpenProcess(const Procfs& procfs, const ProcessId& process) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0)));
  if (!pidfd.valid() && errno != ESRCH) return absl::ErrnoToStatus(errno, "watch a process");
  // Looked at after the open: from here on the pid cannot have changed hands unseen.
  const auto stat = procfs.Stat(process.pid);
  if (!pidfd.valid() || !stat || stat->start_ticks != process.start_ticks) {
    return absl::NotFoundError("its process has ended");
  }
  return pidfd;
}

}  // namespace lockhost::agent
