// SPDX-License-Identifier: Apache-2.0
#include "agent/table/memfd_table.h"

#include <atomic>

#include "agent/table/table_header.h"

namespace lockhost::agent {
namespace {

template <typename T>
void Store(T& word, T value, std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref<T>(word).store(value, order);
}

void StoreState(lockhost_hint_slot& slot, lockhost_run_state state) {
  const uint64_t revision = lockhost_revision_of(slot.state_word) + 1;
  Store(slot.state_word, lockhost_state_word(state, revision), std::memory_order_release);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MemfdTable>> MemfdTable::Create(uint64_t generation,
                                                               uint32_t sampled_every_ns) {
  auto memory = SealedMemory::Create("lockhost-table", kTableBytes);
  if (!memory.ok()) return memory.status();
  std::unique_ptr<MemfdTable> table(new MemfdTable(*std::move(memory)));
  table->header() = MakeTableHeader(generation, sampled_every_ns);
  return table;
}

void MemfdTable::SetState(uint32_t vcpu_id, lockhost_run_state state, uint64_t now_ns) {
  lockhost_hint_slot& slot = this->slot(vcpu_id);
  const uint32_t before = lockhost_state_of(slot.state_word);
  if (before == state) return;
  if (state == LOCKHOST_RUN_STATE_PREEMPTED && before == LOCKHOST_RUN_STATE_RUNNING) {
    Store(slot.preemptions, slot.preemptions + 1);
  }
  if (before == LOCKHOST_RUN_STATE_RUNNING) Store(slot.stopped_ns, now_ns);
  Store(slot.since_ns, now_ns);
  StoreState(slot, state);
}

void MemfdTable::SetStealNs(uint32_t vcpu_id, uint64_t steal_ns) {
  Store(slot(vcpu_id).steal_ns, steal_ns);
}

void MemfdTable::SetPreemptions(uint32_t vcpu_id, uint64_t preemptions) {
  Store(slot(vcpu_id).preemptions, preemptions);
}

void MemfdTable::Clear(uint32_t vcpu_id) {
  lockhost_hint_slot& slot = this->slot(vcpu_id);
  if (slot.state_word == 0) return;
  Store(slot.since_ns, uint64_t{0});
  Store(slot.stopped_ns, uint64_t{0});
  Store(slot.steal_ns, uint64_t{0});
  Store(slot.preemptions, uint64_t{0});
  StoreState(slot, LOCKHOST_RUN_STATE_UNSPECIFIED);
}

void MemfdTable::SetHeader(lockhost_mode mode, uint64_t generation) {
  Store(header().mode, static_cast<uint32_t>(mode));
  Store(header().generation, generation, std::memory_order_release);
}

}  // namespace lockhost::agent
