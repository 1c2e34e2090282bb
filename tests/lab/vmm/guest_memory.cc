// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/vmm/guest_memory.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::lab {
namespace {

// Page table entry bits, Intel SDM volume 3, 4.5.
constexpr uint64_t kPresent = 1u << 0;
constexpr uint64_t kWritable = 1u << 1;
constexpr uint64_t kUser = 1u << 2;
constexpr uint64_t kLargePage = 1u << 7;
constexpr uint64_t kLargePageBytes = 0x200000;
constexpr int kEntries = 512;

}  // namespace

absl::StatusOr<GuestMemory> GuestMemory::Create() {
  absl::StatusOr<SharedMemory> ram = SharedMemory::Create("lockhost-lab-ram", kRamBytes);
  if (!ram.ok()) return ram.status();
  return GuestMemory(*std::move(ram));
}

void GuestMemory::WritePageTables() const {
  auto* top = reinterpret_cast<uint64_t*>(data() + kPageTables);
  uint64_t* pointers = top + kEntries;
  uint64_t* directory = pointers + kEntries;
  top[0] = (kPageTables + kEntries * sizeof(uint64_t)) | kPresent | kWritable | kUser;
  pointers[0] = (kPageTables + 2 * kEntries * sizeof(uint64_t)) | kPresent | kWritable | kUser;
  for (uint64_t i = 0; i < kEntries; ++i) {
    directory[i] = i * kLargePageBytes | kPresent | kWritable | kUser | kLargePage;
  }
}

absl::Status GuestMemory::LoadImage(std::span<const std::byte> image) const {
  if (image.empty() || image.size() > kImageBytes) {
    return absl::InvalidArgumentError(absl::StrCat("guest image of ", image.size(), " bytes; 1 to ",
                                                   kImageBytes, " can be loaded"));
  }
  std::memcpy(data() + kImageBase, image.data(), image.size());
  return absl::OkStatus();
}

}  // namespace lockhost::lab
