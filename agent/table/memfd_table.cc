// SPDX-License-Identifier: Apache-2.0
#include "agent/table/memfd_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "absl/status/status.h"
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

absl::StatusOr<std::unique_ptr<MemfdTable>> MemfdTable::Create(uint64_t generation) {
  UniqueFd fd(memfd_create("lockhost-table", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "make a memfd for a table");
  if (ftruncate(fd.get(), kTableBytes) != 0) return absl::ErrnoToStatus(errno, "size a table");
  void* memory = mmap(nullptr, kTableBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "map a table");
  std::unique_ptr<MemfdTable> table(new MemfdTable(std::move(fd), memory));
  table->header() = MakeTableHeader(generation);
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  if (fcntl(table->fd(), F_ADD_SEALS, kSeals) != 0) return absl::ErrnoToStatus(errno, "seal");
  return table;
}

MemfdTable::~MemfdTable() { munmap(memory_, kTableBytes); }

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
