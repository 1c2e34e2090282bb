// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_TABLE_STATS_READER_H_
#define LOCKHOST_AGENT_TABLE_STATS_READER_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/table/sealed_memory.h"
#include "agent/table/table_reader.h"
#include "agent/table/vcpu_stats.h"

namespace lockhost::agent {

// Read-only view of the array of lockhost_vcpu_stats: every VM's vCPUs.
// Thread-safe: reads are loads from shared memory. Owns the mapping; the descriptor stays
// the caller's, and may be closed.
class StatsReader {
 public:
  // INVALID_ARGUMENT: the descriptor is no such array (sealed_memory.h).
  static absl::StatusOr<std::unique_ptr<StatsReader>> Attach(int fd);

  // Where the vCPUs' records are, by VM: what a walk through the array finds, to be made
  // anew each time, for VMs come and go.
  struct Place {
    uint64_t vm_id;
    uint32_t index;
  };
  std::vector<Place> Places() const;

  // A copy of one record; vm_id 0 if it is free, or another VM's by now.
  lockhost_vcpu_stats Read(const Place& place) const;

 private:
  explicit StatsReader(SealedView view) : view_(std::move(view)) {}
  const lockhost_vcpu_stats& record(uint32_t index) const;

  SealedView view_;
};

// How a vCPU has spent its time, up to one moment.
struct VcpuTimes {
  uint64_t run_ns = 0;
  uint64_t steal_ns = 0;
  uint64_t halted_ns = 0;
  uint64_t exited_ns = 0;
};

// The books with the state that lasts since `slot.since_ns`. Pure. REQUIRES: the slot's
// state had not changed between reading the slot and reading the books (ReadBooks).
VcpuTimes TimesAt(const VcpuObservation& slot, const lockhost_vcpu_stats& books, uint64_t now_ns);

// A vCPU's slot and books, of the same moment unless it changes faster than it can be read.
struct VcpuBooks {
  VcpuObservation slot;
  lockhost_vcpu_stats stats;  // vm_id 0: none
};
VcpuBooks ReadBooks(const TableReader& table, const StatsReader& stats,
                    const StatsReader::Place& place);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_TABLE_STATS_READER_H_
