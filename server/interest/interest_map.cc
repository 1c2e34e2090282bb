// SPDX-License-Identifier: Apache-2.0
#include "server/interest/interest_map.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>

namespace lockhost::server {
namespace {

constexpr size_t kBytes = sizeof(agent::InterestEntry) * agent::kMaxVms;

void Store(uint64_t& word, uint64_t value, std::memory_order order) {
  std::atomic_ref(word).store(value, order);
}

}  // namespace

absl::StatusOr<std::unique_ptr<InterestMap>> InterestMap::Map(int fd) {
  // A memfd tells its size; a BPF map has none, and refuses to be mapped beyond its end.
  struct stat status;
  if (fstat(fd, &status) != 0) return absl::ErrnoToStatus(errno, "look at the interest map");
  if (S_ISREG(status.st_mode) && static_cast<size_t>(status.st_size) < kBytes) {
    return absl::InvalidArgumentError("interest map has too few entries");
  }
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "map the interest map");
  return std::unique_ptr<InterestMap>(new InterestMap(static_cast<agent::InterestEntry*>(memory)));
}

InterestMap::~InterestMap() {
  for (uint32_t i = 0; i < agent::kMaxVms; ++i) Clear(i);
  munmap(entries_, kBytes);
}

void InterestMap::Set(uint32_t vm_index, uint64_t vm_id, uint64_t until_ns,
                      const uint64_t (&awaited)[Demand::kWords]) {
  if (vm_index >= agent::kMaxVms) return;
  agent::InterestEntry& entry = entries_[vm_index];
  if (entry.vm_id != vm_id) {
    Store(entry.demand_until_ns, 0, std::memory_order_release);
    Store(entry.vm_id, vm_id, std::memory_order_release);
  }
  for (uint32_t i = 0; i < Demand::kWords; ++i) {
    Store(entry.awaited[i], awaited[i], std::memory_order_relaxed);
  }
  Store(entry.demand_until_ns, until_ns, std::memory_order_release);
}

void InterestMap::Clear(uint32_t vm_index) {
  if (vm_index < agent::kMaxVms) {
    Store(entries_[vm_index].demand_until_ns, 0, std::memory_order_release);
  }
}

}  // namespace lockhost::server
