// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DAEMON_LOAD_COLLECTOR_H_
#define LOCKHOST_AGENT_DAEMON_LOAD_COLLECTOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/overcommit/overcommit.h"
#include "agent/registry/vm_registry.h"
#include "agent/table/stats_reader.h"

namespace lockhost::agent {

// Sums up each VM's vCPUs, from the source's statistics where it keeps any; elsewhere the
// time they ran is estimated, from how many run at each look. Not thread-safe.
class LoadCollector {
 public:
  // `stats_fd` as of Source::stats_fd().
  static absl::StatusOr<std::unique_ptr<LoadCollector>> Create(int stats_fd);

  // One entry for each VM of the registry. REQUIRES: their tables are open; now_ns grows.
  std::vector<VmLoad> Collect(uint64_t now_ns, VmRegistry& registry);

 private:
  explicit LoadCollector(std::unique_ptr<StatsReader> stats) : stats_(std::move(stats)) {}
  void AddBooks(uint64_t now_ns, VmRegistry& registry, std::map<uint64_t, VmLoad>& loads) const;
  void AddSamples(uint64_t now_ns, const Vm& vm, VmLoad& load);

  std::unique_ptr<StatsReader> stats_;             // null: the source keeps none
  std::map<uint64_t, uint64_t> estimated_run_ns_;  // by vm_id
  uint64_t collected_at_ns_ = 0;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_DAEMON_LOAD_COLLECTOR_H_
