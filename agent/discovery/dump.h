// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DISCOVERY_DUMP_H_
#define LOCKHOST_AGENT_DISCOVERY_DUMP_H_

#include <string>

#include "absl/status/statusor.h"

namespace lockhost::agent {

// What discovery sees in a proc file system and a sysfs, which may be captured trees:
// every VM in the order of the pids, its facts and vCPU threads, after each where it was
// read, and what kept discovery from seeing more. The text is the same for the same
// trees; whatever a VMM chose is printable ASCII in it.
//
// Errors: NOT_FOUND, PERMISSION_DENIED: no such tree at `procfs_root`.
absl::StatusOr<std::string> DumpVms(const std::string& procfs_root, const std::string& sysfs_root);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_DISCOVERY_DUMP_H_
