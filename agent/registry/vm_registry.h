// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_REGISTRY_VM_REGISTRY_H_
#define LOCKHOST_AGENT_REGISTRY_VM_REGISTRY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/channel/protocol.h"
#include "agent/registry/vm.h"

namespace lockhost::agent {

// Of a table: never 0, which means "not yet known".
absl::StatusOr<uint64_t> RandomGeneration();

// Makes ids that are never reused, also across restarts of the agent: milliseconds of
// the real-time clock (so a later agent is ahead of an earlier one), eleven bits to
// count within one, and always above the last. Fits into the 53 bits of a JSON number
// until the year 2109.
class VmIdAllocator {
 public:
  uint64_t Next(uint64_t realtime_ms);
  // Stay above an id that an earlier agent gave.
  void Adopt(uint64_t vm_id);

 private:
  uint64_t last_ = 0;
};

// The VMs that are followed, in the order of their ids. Pure bookkeeping: no system call
// but for randomness. Not thread-safe. Pointers stay valid until Remove() of that VM.
class VmRegistry {
 public:
  // Gives a VM its id, its index and a fresh generation, for a source to follow it.
  // RESOURCE_EXHAUSTED when kMaxVms are followed. The record is not in the registry until
  // Insert().
  absl::StatusOr<VmRecord> MakeRecord(const VmSighting& sighting, uint64_t realtime_ms);

  // Takes in a VM. REQUIRES: its id and index are in no use.
  Vm* Insert(Vm vm);
  void Remove(uint64_t vm_id);

  Vm* Find(uint64_t vm_id);
  // The VMs of one process: usually one.
  std::vector<Vm*> OfProcess(const ProcessId& process);
  // The VM that a source calls `key` in that process; null if there is none.
  Vm* FindSighted(const VmSighting& sighting);

  std::map<uint64_t, Vm>& vms() { return vms_; }

 private:
  std::optional<uint32_t> FreeIndex() const;

  std::map<uint64_t, Vm> vms_;
  VmIdAllocator ids_;
  bool index_used_[kMaxVms] = {};
  uint32_t next_index_ = 0;  // where to look for a free one
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_REGISTRY_VM_REGISTRY_H_
