// SPDX-License-Identifier: Apache-2.0
//
// The guest's RAM and where things lie in it.
#ifndef LOCKHOST_TESTS_LAB_VMM_GUEST_MEMORY_H_
#define LOCKHOST_TESTS_LAB_VMM_GUEST_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "tests/lab/abi/lab_abi.h"
#include "tests/lab/vmm/shared_memory.h"

namespace lockhost::lab {

// Offsets in RAM, which begins at guest-physical 0; page 0 is left alone.
inline constexpr uint64_t kPageTables = 0x1000;
inline constexpr uint64_t kRunConfig = 0x10000;
inline constexpr uint64_t kSharedArea = 0x20000;
inline constexpr uint64_t kImageBase = 0x100000;
inline constexpr uint64_t kImageBytes = 0x80000;
inline constexpr uint64_t kStacks = 0x200000;
inline constexpr uint64_t kStackBytes = 0x4000;
inline constexpr uint64_t kVcpuBlocks = 0x1000000;
inline constexpr uint64_t kRamBytes = 0x2000000;

static_assert(sizeof(RunConfig) <= kSharedArea - kRunConfig);
static_assert(kSharedArea + sizeof(SharedArea) <= kImageBase);
static_assert(kStacks + kMaxVcpus * kStackBytes <= kVcpuBlocks);
static_assert(kVcpuBlocks + kMaxVcpus * sizeof(VcpuBlock) <= kRamBytes);

// Thread-safe as memory is: the guest may write any of it at any moment.
class GuestMemory {
 public:
  static absl::StatusOr<GuestMemory> Create();

  std::byte* data() const { return static_cast<std::byte*>(ram_.data()); }
  RunConfig& config() const { return *reinterpret_cast<RunConfig*>(data() + kRunConfig); }
  SharedArea& shared() const { return *reinterpret_cast<SharedArea*>(data() + kSharedArea); }
  VcpuBlock& block(uint32_t vcpu) const {
    return reinterpret_cast<VcpuBlock*>(data() + kVcpuBlocks)[vcpu];
  }

  // Identity-maps the first GiB for user mode (2 MiB pages).
  void WritePageTables() const;
  // INVALID_ARGUMENT: the image is empty or too large.
  absl::Status LoadImage(std::span<const std::byte> image) const;

 private:
  explicit GuestMemory(SharedMemory ram) : ram_(std::move(ram)) {}
  SharedMemory ram_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_VMM_GUEST_MEMORY_H_
