// SPDX-License-Identifier: Apache-2.0
#include "agent/source/interest_memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "absl/status/status.h"

namespace lockhost::agent {
namespace {

constexpr size_t kBytes = sizeof(InterestEntry) * kMaxVms;

uint64_t Load(const uint64_t& word) {
  return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(word)).load(std::memory_order_acquire);
}

}  // namespace

absl::StatusOr<std::unique_ptr<InterestMemfd>> InterestMemfd::Create() {
  UniqueFd fd(memfd_create("lockhost-interest", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "make a memfd for interest");
  if (ftruncate(fd.get(), kBytes) != 0) return absl::ErrnoToStatus(errno, "size interest");
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return absl::ErrnoToStatus(errno, "seal interest");
  }
  void* memory = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "map interest");
  return std::unique_ptr<InterestMemfd>(
      new InterestMemfd(std::move(fd), static_cast<const InterestEntry*>(memory)));
}

InterestMemfd::~InterestMemfd() { munmap(const_cast<InterestEntry*>(entries_), kBytes); }

bool InterestMemfd::HasDemand(uint32_t vm_index, uint64_t vm_id, uint64_t now_ns) const {
  const InterestEntry& entry = entries_[vm_index];
  return Load(entry.vm_id) == vm_id && Load(entry.demand_until_ns) > now_ns;
}

}  // namespace lockhost::agent
