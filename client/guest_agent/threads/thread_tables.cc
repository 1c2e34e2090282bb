// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/threads/thread_tables.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <utility>

#include "client/guest_agent/bpf/shared.h"

namespace lockhost::guest_agent {
namespace {

constexpr size_t kReady = 4;

absl::StatusOr<UniqueFd> MakeTable(uint64_t generation) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  UniqueFd table(bpf_map_create(BPF_MAP_TYPE_ARRAY, "lockhost_thread", sizeof(uint32_t),
                                sizeof(lockhost_thread_slot), 1 + LOCKHOST_MAX_THREAD_SLOTS,
                                &options));
  if (!table.valid()) return absl::ErrnoToStatus(errno, "make a thread page");
  lockhost_thread_header header = {};
  header.magic = LOCKHOST_THREAD_PAGE_MAGIC;
  header.abi_version = LOCKHOST_PAGE_ABI_VERSION;
  header.header_size = sizeof(lockhost_thread_header);
  header.slot_stride = sizeof(lockhost_thread_slot);
  header.slot_count = LOCKHOST_MAX_THREAD_SLOTS;
  header.generation = generation;
  const uint32_t first = 0;
  if (bpf_map_update_elem(table.get(), &first, &header, BPF_ANY) != 0) {
    return absl::ErrnoToStatus(errno, "fill a thread page's header");
  }
  if (bpf_map_freeze(table.get()) != 0) return absl::ErrnoToStatus(errno, "freeze a thread page");
  return table;
}

}  // namespace

ThreadTables::ThreadTables(int by_index, uint64_t generation)
    : by_index_(by_index), generation_(generation) {
  for (uint32_t index = LT_MAX_PROCESSES; index > 0; --index) free_.push_back(index - 1);
}

absl::StatusOr<ThreadTables::Table> ThreadTables::MakeOne() {
  std::vector<uint32_t>& from = !stale_.empty() ? stale_ : free_;
  if (from.empty()) return absl::ResourceExhaustedError("all thread pages are in use");
  auto fd = MakeTable(generation_);
  if (!fd.ok()) return fd.status();
  Table table = {from.back(), *std::move(fd)};
  const int placed = table.fd.get();
  if (bpf_map_update_elem(by_index_, &table.index, &placed, BPF_ANY) != 0) {
    return absl::ErrnoToStatus(errno, "hand a thread page to the programs");
  }
  from.pop_back();
  return table;
}

absl::StatusOr<ThreadTables::Table> ThreadTables::Take() {
  failed_ = false;
  if (ready_.empty()) return MakeOne();
  Table table = std::move(ready_.back());
  ready_.pop_back();
  return table;
}

void ThreadTables::Release(uint32_t index) { stale_.push_back(index); }

bool ThreadTables::HasToPrepare() const {
  if (failed_) return false;
  return !stale_.empty() || (ready_.size() < kReady && !free_.empty());
}

bool ThreadTables::PrepareOne() {
  if (!HasToPrepare()) return false;
  if (ready_.size() < kReady) {
    auto table = MakeOne();
    failed_ = !table.ok();
    if (!failed_) ready_.push_back(*std::move(table));
    return !failed_;
  }
  bpf_map_delete_elem(by_index_, &stale_.back());
  free_.push_back(stale_.back());
  stale_.pop_back();
  return true;
}

}  // namespace lockhost::guest_agent
