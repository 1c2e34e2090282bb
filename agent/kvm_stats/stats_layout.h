// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KVM_STATS_STATS_LAYOUT_H_
#define LOCKHOST_AGENT_KVM_STATS_STATS_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

// Pure parsers of KVM's binary statistics (KVM_GET_STATS_FD in the kernel's
// Documentation/virt/kvm/api.rst). The file comes out of another process, so every size
// and offset is checked. INVALID_ARGUMENT says what is wrong. Thread-safe.
namespace lockhost::agent {

inline constexpr size_t kStatsHeaderBytes = 24;

// Offsets count from the beginning of the file, in bytes.
struct StatsHeader {
  uint32_t name_bytes = 0;  // of the id and of each name, with the NUL
  uint32_t descriptors = 0;
  uint32_t id_offset = 0;
  uint32_t descriptor_offset = 0;
  uint32_t data_offset = 0;

  // The file's first bytes that hold the id and all descriptors; at most 1 MiB.
  size_t metadata_bytes() const;
};
absl::StatusOr<StatsHeader> ParseStatsHeader(std::string_view file);

// The kernel's encoding, KVM_STATS_TYPE_* and so on, shifted down.
enum class StatType : uint8_t { kCumulative, kInstant, kPeak, kLinearHistogram, kLogHistogram };
enum class StatUnit : uint8_t { kNone, kBytes, kSeconds, kCycles, kBoolean };
enum class StatBase : uint8_t { kPow10, kPow2 };

struct StatDescriptor {
  std::string name;
  StatType type = StatType::kCumulative;
  StatUnit unit = StatUnit::kNone;
  StatBase base = StatBase::kPow10;
  int16_t exponent = 0;
  uint16_t values = 0;       // 64-bit numbers, one after another
  uint32_t bucket_size = 0;  // of a linear histogram
  uint32_t file_offset = 0;  // of the first value
};

struct StatsLayout {
  std::string id;  // "kvm-TID/vcpu-N"
  std::vector<StatDescriptor> descriptors;
};
// `file` holds at least the header's metadata_bytes().
absl::StatusOr<StatsLayout> ParseStatsLayout(std::string_view file);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KVM_STATS_STATS_LAYOUT_H_
