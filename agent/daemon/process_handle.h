// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DAEMON_PROCESS_HANDLE_H_
#define LOCKHOST_AGENT_DAEMON_PROCESS_HANDLE_H_

#include "absl/status/statusor.h"
#include "agent/kernel/procfs.h"
#include "agent/registry/vm.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// A pidfd of exactly that process, not of one that got its pid: readable when it has
// ended. NOT_FOUND if it has ended already.
absl::StatusOr<UniqueFd> OpenProcess(const Procfs& procfs, const ProcessId& process);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_DAEMON_PROCESS_HANDLE_H_
