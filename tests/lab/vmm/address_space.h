// SPDX-License-Identifier: Apache-2.0
//
// What a guest may name: its memory regions, and the check that every address from a
// guest goes through. In a microVM regions lie at fixed guest-physical addresses;
// where threads stand in for vCPUs a region's address is where the VMM mapped it.
#ifndef LOCKHOST_TESTS_LAB_VMM_ADDRESS_SPACE_H_
#define LOCKHOST_TESTS_LAB_VMM_ADDRESS_SPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "tests/lab/abi/lab_abi.h"

namespace lockhost::lab {

enum class Region : uint32_t { kRam = 0, kTable, kReports, kQuietReports, kGrpcPage, kDirectLease };
inline constexpr uint32_t kRegions = 6;

// Not thread-safe: changed only while all vCPUs are parked, read by them meanwhile.
class AddressSpace {
 public:
  struct Entry {
    LabAddress address = 0;
    std::byte* host = nullptr;
    size_t bytes = 0;
    bool writable = false;
  };

  void Set(Region region, const Entry& entry) { entries_[Index(region)] = entry; }
  void Clear(Region region) { entries_[Index(region)] = {}; }
  const Entry& Get(Region region) const { return entries_[Index(region)]; }

  // Where a naturally aligned, writable 32-bit word of `region` lies in this process;
  // null if the address is anything else. Any `address` may be asked for.
  uint32_t* WordAt(Region region, LabAddress address) const {
    const Entry& entry = Get(region);
    if (!entry.writable || address % sizeof(uint32_t) != 0) return nullptr;
    if (address < entry.address || entry.bytes < sizeof(uint32_t)) return nullptr;
    const uint64_t offset = address - entry.address;
    if (offset > entry.bytes - sizeof(uint32_t)) return nullptr;
    return reinterpret_cast<uint32_t*>(entry.host + offset);
  }

 private:
  static size_t Index(Region region) { return static_cast<size_t>(region); }
  std::array<Entry, kRegions> entries_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_VMM_ADDRESS_SPACE_H_
