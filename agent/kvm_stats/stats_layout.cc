// SPDX-License-Identifier: Apache-2.0
#include "agent/kvm_stats/stats_layout.h"

#include <linux/kvm.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace lockhost::agent {
namespace {

// Far above what any kernel has (names of 48 bytes, about 60 descriptors).
constexpr uint32_t kMaxNameBytes = 256;
constexpr uint32_t kMaxDescriptors = 1024;
constexpr uint32_t kMaxValues = 1024;
constexpr uint64_t kMaxFileBytes = 1 << 20;

constexpr size_t kDescriptorBytes = 16;
static_assert(sizeof(kvm_stats_header) == kStatsHeaderBytes);
// Not sizeof: C++ gives the flexible array at its end another size than C.
static_assert(offsetof(kvm_stats_desc, bucket_size) + sizeof(uint32_t) == kDescriptorBytes);

bool IsBlock(uint64_t offset, uint64_t bytes) {
  return offset >= kStatsHeaderBytes && offset + bytes <= kMaxFileBytes;
}

uint64_t DescriptorBlockBytes(const StatsHeader& header) {
  return uint64_t{header.descriptors} * (kDescriptorBytes + header.name_bytes);
}

// Printable, not empty, and ended by NUL inside its field.
std::optional<std::string> ParseName(std::string_view field) {
  const size_t size = field.find('\0');
  if (size == 0 || size == std::string_view::npos) return std::nullopt;
  const std::string_view name = field.substr(0, size);
  const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
  if (!std::all_of(name.begin(), name.end(), printable)) return std::nullopt;
  return std::string(name);
}

absl::StatusOr<StatDescriptor> ParseDescriptor(std::string_view bytes, uint32_t data_offset) {
  kvm_stats_desc raw{};
  std::memcpy(&raw, bytes.data(), kDescriptorBytes);
  const uint32_t type = (raw.flags & KVM_STATS_TYPE_MASK) >> KVM_STATS_TYPE_SHIFT;
  const uint32_t unit = (raw.flags & KVM_STATS_UNIT_MASK) >> KVM_STATS_UNIT_SHIFT;
  const uint32_t base = (raw.flags & KVM_STATS_BASE_MASK) >> KVM_STATS_BASE_SHIFT;
  if (type > static_cast<uint32_t>(StatType::kLogHistogram) ||
      unit > static_cast<uint32_t>(StatUnit::kBoolean) ||
      base > static_cast<uint32_t>(StatBase::kPow2)) {
    return absl::InvalidArgumentError("KVM statistic of an unknown kind");
  }
  if (raw.exponent < -18 || raw.exponent > 63) {
    return absl::InvalidArgumentError("KVM statistic with an impossible exponent");
  }
  const bool linear = type == static_cast<uint32_t>(StatType::kLinearHistogram);
  if (linear && raw.bucket_size == 0) {
    return absl::InvalidArgumentError("KVM histogram without a bucket size");
  }
  const uint64_t offset = uint64_t{data_offset} + raw.offset;
  if (raw.size == 0 || raw.size > kMaxValues || !IsBlock(offset, raw.size * sizeof(uint64_t))) {
    return absl::InvalidArgumentError("KVM statistic with values outside the file");
  }
  const auto name = ParseName(bytes.substr(kDescriptorBytes));
  if (!name) return absl::InvalidArgumentError("KVM statistic without a proper name");
  return StatDescriptor{*name,
                        static_cast<StatType>(type),
                        static_cast<StatUnit>(unit),
                        static_cast<StatBase>(base),
                        raw.exponent,
                        raw.size,
                        raw.bucket_size,
                        static_cast<uint32_t>(offset)};
}

}  // namespace

size_t StatsHeader::metadata_bytes() const {
  return std::max<uint64_t>(uint64_t{id_offset} + name_bytes,
                            descriptor_offset + DescriptorBlockBytes(*this));
}

absl::StatusOr<StatsHeader> ParseStatsHeader(std::string_view file) {
  if (file.size() < kStatsHeaderBytes) {
    return absl::InvalidArgumentError("KVM statistics end within their header");
  }
  kvm_stats_header raw;
  std::memcpy(&raw, file.data(), sizeof(raw));
  const StatsHeader header{raw.name_size, raw.num_desc, raw.id_offset, raw.desc_offset,
                           raw.data_offset};
  if (header.name_bytes == 0 || header.name_bytes > kMaxNameBytes) {
    return absl::InvalidArgumentError("KVM statistics with an impossible name size");
  }
  if (header.descriptors == 0 || header.descriptors > kMaxDescriptors) {
    return absl::InvalidArgumentError("KVM statistics with an impossible number of descriptors");
  }
  if (!IsBlock(header.id_offset, header.name_bytes) ||
      !IsBlock(header.descriptor_offset, DescriptorBlockBytes(header)) ||
      !IsBlock(header.data_offset, 0)) {
    return absl::InvalidArgumentError("KVM statistics with an impossible offset");
  }
  return header;
}

absl::StatusOr<StatsLayout> ParseStatsLayout(std::string_view file) {
  const auto header = ParseStatsHeader(file);
  if (!header.ok()) return header.status();
  if (file.size() < header->metadata_bytes()) {
    return absl::InvalidArgumentError("KVM statistics end within their descriptors");
  }
  const auto id = ParseName(file.substr(header->id_offset, header->name_bytes));
  if (!id) return absl::InvalidArgumentError("KVM statistics without a proper id");
  StatsLayout layout{*id, {}};
  const size_t bytes = kDescriptorBytes + header->name_bytes;
  for (size_t i = 0; i < header->descriptors; ++i) {
    auto descriptor = ParseDescriptor(file.substr(header->descriptor_offset + i * bytes, bytes),
                                      header->data_offset);
    if (!descriptor.ok()) return descriptor.status();
    layout.descriptors.push_back(*std::move(descriptor));
  }
  return layout;
}

}  // namespace lockhost::agent
