// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_TABLE_TABLE_READER_H_
#define LOCKHOST_AGENT_TABLE_TABLE_READER_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "agent/table/sealed_memory.h"
#include "client/page/hint_page.h"

namespace lockhost::agent {

// What a slot said at one moment. Units as in lockhost_hint_slot.
struct VcpuObservation {
  uint64_t state_word = 0;
  uint64_t witness = 0;
  uint64_t since_ns = 0;
  uint64_t steal_ns = 0;
  uint64_t preemptions = 0;
  uint64_t lock_holder_preemptions = 0;

  uint32_t run_state() const { return lockhost_state_of(state_word); }
  uint64_t revision() const { return lockhost_revision_of(state_word); }
};

// Read-only view of one VM's vCPU table, as the agent hands it over: a frozen BPF array
// map or a sealed memfd. Nobody on this side can write it, and nobody can shrink it
// under the reader's feet; Attach() refuses a descriptor for which that is not so.
//
// Thread-safe: reads are loads from shared memory, no system call, no lock.
// Owns the mapping; the descriptor stays the caller's, and may be closed.
class TableReader {
 public:
  // Errors: INVALID_ARGUMENT the descriptor is no table of this ABI version.
  static absl::StatusOr<std::unique_ptr<TableReader>> Attach(int fd);
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

  uint32_t slot_count() const { return slot_count_; }
  uint64_t generation() const;
  lockhost_mode mode() const;
  // How often the table's writer looks under demand; 0: it sees every switch.
  uint32_t sampled_every_ns() const;

  // State and revision of one vCPU in one atomic load (acquire); 0, "no hint", for a
  // vCPU that the table does not have.
  uint64_t ReadStateWord(uint32_t vcpu_id) const;

  // The whole slot, all of the same moment unless the vCPU changes faster than it can be
  // read: then the counters may be one change ahead of the state.
  VcpuObservation Read(uint32_t vcpu_id) const;

 private:
  TableReader(SealedView view, const lockhost_hint_header& header);
  const lockhost_hint_header& header() const;
  const lockhost_hint_slot& slot(uint32_t vcpu_id) const;

  SealedView view_;
  uint32_t slot_count_;
  uint32_t header_size_;
  uint32_t slot_stride_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_TABLE_TABLE_READER_H_
