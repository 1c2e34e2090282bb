// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_TABLE_MEMFD_TABLE_H_
#define LOCKHOST_AGENT_TABLE_MEMFD_TABLE_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "agent/table/sealed_memory.h"
#include "client/page/hint_page.h"

namespace lockhost::agent {

// A vCPU table that user space writes (sources without BPF).
//
// Single writer: the agent's thread. Readers, in any process, need no lock: state_word
// is stored last, with release order.
class MemfdTable {
 public:
  // `sampled_every_ns`: how often its writer looks under demand (hint_page.h).
  static absl::StatusOr<std::unique_ptr<MemfdTable>> Create(uint64_t generation,
                                                            uint32_t sampled_every_ns = 0);
  MemfdTable(const MemfdTable&) = delete;
  MemfdTable& operator=(const MemfdTable&) = delete;

  int fd() const { return memory_.fd(); }

  // Sets the vCPU's state; the revision grows, and `since_ns` is kept, only if it is
  // another one. REQUIRES: vcpu_id < LOCKHOST_MAX_SLOTS.
  void SetState(uint32_t vcpu_id, lockhost_run_state state, uint64_t now_ns);
  void SetStealNs(uint32_t vcpu_id, uint64_t steal_ns);
  // In place of those that SetState() has counted.
  void SetPreemptions(uint32_t vcpu_id, uint64_t preemptions);
  // "No hint"; the revision goes on growing.
  void Clear(uint32_t vcpu_id);
  void SetHeader(lockhost_mode mode, uint64_t generation);

 private:
  explicit MemfdTable(SealedMemory memory) : memory_(std::move(memory)) {}
  lockhost_hint_header& header() { return *static_cast<lockhost_hint_header*>(memory_.data()); }
  lockhost_hint_slot& slot(uint32_t vcpu_id) {
    return reinterpret_cast<lockhost_hint_slot*>(static_cast<char*>(memory_.data()) +
                                                 sizeof(lockhost_hint_header))[vcpu_id];
  }

  SealedMemory memory_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_TABLE_MEMFD_TABLE_H_
