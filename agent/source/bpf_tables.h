// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_BPF_TABLES_H_
#define LOCKHOST_AGENT_SOURCE_BPF_TABLES_H_

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/bpf/shared.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// The vCPU tables of the VMs, and the programs' way to them: an array of maps by vm_index.
// Each table is an array map that can be mapped, header filled, then frozen. From then on
// programs alone can write it; a descriptor of it can be handed to anybody, who sees this
// VM and can change nothing.
//
// The kernel makes whoever changes an array of maps wait for an RCU grace period, ten
// milliseconds and more, in which a new VM would get no hints. So a few tables lie ready,
// put in place by a thread that has nothing else to do. Thread-safe.
class BpfTables {
 public:
  // `by_index` is the array of maps; it stays the caller's, and outlives this object.
  explicit BpfTables(int by_index);
  ~BpfTables();
  BpfTables(const BpfTables&) = delete;
  BpfTables& operator=(const BpfTables&) = delete;

  // A new table that programs find at the index, generation 0. It belongs to this object,
  // until Release(). REQUIRES: the index is in no use.
  absl::StatusOr<int> Take(uint32_t vm_index);
  // Takes over the table that an earlier agent's programs find there. REQUIRES: before
  // Begin().
  void Adopt(uint32_t vm_index, UniqueFd table);
  // The index is free again; the table goes with its last user. REQUIRES: programs do not
  // use it any more.
  void Release(uint32_t vm_index);

  // -1: none.
  int fd(uint32_t vm_index) const;

  // From here on tables are made ready for VMs to come.
  void Begin();

 private:
  std::optional<uint32_t> NextToPrepare() const;
  void KeepReady();

  const int by_index_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint32_t, UniqueFd> used_;    // by vm_index
  std::map<uint32_t, UniqueFd> spares_;  // in place already, at indices in no use
  uint32_t last_taken_ = LH_MAX_VMS - 1;
  std::optional<uint32_t> preparing_;  // the thread is at work there
  std::set<uint32_t> stale_;           // indices in no use where an old table still is
  bool stop_ = false;
  bool failed_ = false;  // a spare could not be made; tried again when a table is released
  std::thread thread_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_BPF_TABLES_H_
