// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_CHOOSE_SOURCE_H_
#define LOCKHOST_AGENT_SOURCE_CHOOSE_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/kernel/procfs.h"
#include "agent/source/bpf_programs.h"
#include "agent/source/source.h"
#include "common/clock.h"

namespace lockhost::agent {

struct ChosenSource {
  std::unique_ptr<Source> source;
  std::string reason;              // why not a better one; empty for the best
  std::vector<std::string> notes;  // for the log
};

// `wanted`: "auto" takes the best that works, the name of a source that one or none.
// ALREADY_EXISTS, also for "auto": another agent is at work. `procfs` must outlive the
// source; debugfs is looked for below `sysfs_root`.
absl::StatusOr<ChosenSource> ChooseSource(const std::string& wanted, const BpfOptions& bpf,
                                          const Procfs* procfs, const std::string& sysfs_root,
                                          Clock clock);

// The best of those below the one that has failed at work. FAILED_PRECONDITION: none is left.
absl::StatusOr<ChosenSource> ChooseNextSource(SourceKind failed, const std::string& why,
                                              const Procfs* procfs, const std::string& sysfs_root,
                                              Clock clock);

// "bpf", "perf", "procfs".
const char* SourceName(SourceKind kind);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_CHOOSE_SOURCE_H_
