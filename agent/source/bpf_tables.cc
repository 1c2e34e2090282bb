// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_tables.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <utility>

#include "agent/bpf/shared.h"
#include "agent/table/table_header.h"

namespace lockhost::agent {
namespace {

// VMs that come at once find a table ready.
constexpr size_t kSpares = 8;

absl::StatusOr<UniqueFd> MakeTable() {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  UniqueFd table(bpf_map_create(BPF_MAP_TYPE_ARRAY, "lockhost_table", sizeof(uint32_t),
                                sizeof(lockhost_hint_slot), 1 + LOCKHOST_MAX_SLOTS, &options));
  if (!table.valid()) return absl::ErrnoToStatus(errno, "make a vCPU table");
  const lockhost_hint_header header = MakeTableHeader(0);
  const uint32_t first = 0;
  if (bpf_map_update_elem(table.get(), &first, &header, BPF_ANY) != 0) {
    return absl::ErrnoToStatus(errno, "fill a vCPU table's header");
  }
  if (bpf_map_freeze(table.get()) != 0) return absl::ErrnoToStatus(errno, "freeze a vCPU table");
  return table;
}

// Waits for a grace period.
absl::StatusOr<UniqueFd> PlaceTable(int by_index, uint32_t vm_index) {
  auto table = MakeTable();
  if (!table.ok()) return table.status();
  const int fd = table->get();
  if (bpf_map_update_elem(by_index, &vm_index, &fd, BPF_ANY) != 0) {
    return absl::ErrnoToStatus(errno, "hand a vCPU table to the programs");
  }
  return table;
}

}  // namespace

BpfTables::BpfTables(int by_index) : by_index_(by_index) {}

BpfTables::~BpfTables() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BpfTables::Begin() {
  thread_ = std::thread([this] { KeepReady(); });
}

absl::StatusOr<int> BpfTables::Take(uint32_t vm_index) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return preparing_ != vm_index; });
  last_taken_ = vm_index;
  if (auto spare = spares_.extract(vm_index)) {
    changed_.notify_all();
    return used_.insert(std::move(spare)).position->second.get();
  }
  stale_.erase(vm_index);
  // The thread leaves the index alone as soon as it is in use.
  UniqueFd& place = used_[vm_index];
  lock.unlock();
  auto table = PlaceTable(by_index_, vm_index);
  lock.lock();
  if (table.ok()) return (place = *std::move(table)).get();
  used_.erase(vm_index);
  return table.status();
}

void BpfTables::Adopt(uint32_t vm_index, UniqueFd table) {
  used_[vm_index] = std::move(table);
  last_taken_ = vm_index;
}

void BpfTables::Release(uint32_t vm_index) {
  const std::lock_guard lock(mutex_);
  used_.erase(vm_index);
  stale_.insert(vm_index);
  failed_ = false;
  changed_.notify_all();
}

int BpfTables::fd(uint32_t vm_index) const {
  const std::lock_guard lock(mutex_);
  const auto table = used_.find(vm_index);
  return table == used_.end() ? -1 : table->second.get();
}

// The registry gives out the next index that is free after the last one, so none is wanted
// again soon after it was released. REQUIRES: the lock.
std::optional<uint32_t> BpfTables::NextToPrepare() const {
  size_t ready = 0;
  for (uint32_t i = 0; i < LH_MAX_VMS && ready < kSpares && !failed_; ++i) {
    const uint32_t index = (last_taken_ + 1 + i) % LH_MAX_VMS;
    if (used_.contains(index)) continue;
    if (!spares_.contains(index)) return index;
    ++ready;
  }
  return std::nullopt;
}

void BpfTables::KeepReady() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || NextToPrepare() || !stale_.empty(); });
    if (stop_) return;
    preparing_ = NextToPrepare();
    const bool spare = preparing_.has_value();
    if (!spare) preparing_ = *stale_.begin();
    stale_.erase(*preparing_);
    lock.unlock();
    absl::StatusOr<UniqueFd> table = absl::UnknownError("");
    if (spare) {
      table = PlaceTable(by_index_, *preparing_);
    } else {
      bpf_map_delete_elem(by_index_, &*preparing_);
    }
    lock.lock();
    failed_ = spare && !table.ok();  // Take() tries again, and says why it cannot
    if (table.ok()) spares_[*preparing_] = *std::move(table);
    preparing_.reset();
    changed_.notify_all();
  }
}

}  // namespace lockhost::agent
