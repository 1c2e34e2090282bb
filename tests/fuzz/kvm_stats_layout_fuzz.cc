// SPDX-License-Identifier: Apache-2.0
//
// A KVM statistics file: whatever the layout says lies within what may be read.
#include <algorithm>

#include "agent/kvm_stats/stats_layout.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::agent {
namespace {

constexpr size_t kMostFileBytes = 1 << 20;

void CheckName(std::string_view name, const StatsHeader& header) {
  FUZZ_CHECK(!name.empty() && name.size() < header.name_bytes);
  FUZZ_CHECK(std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; }));
}

void CheckDescriptor(const StatDescriptor& stat, const StatsHeader& header) {
  CheckName(stat.name, header);
  FUZZ_CHECK(stat.type <= StatType::kLogHistogram);
  FUZZ_CHECK(stat.unit <= StatUnit::kBoolean);
  FUZZ_CHECK(stat.base <= StatBase::kPow2);
  FUZZ_CHECK(stat.values > 0);
  FUZZ_CHECK(stat.type != StatType::kLinearHistogram || stat.bucket_size > 0);
  FUZZ_CHECK(stat.file_offset >= header.data_offset);
  FUZZ_CHECK(stat.file_offset + stat.values * sizeof(uint64_t) <= kMostFileBytes);
}

void Check(std::string_view file) {
  const auto header = ParseStatsHeader(file);
  const auto layout = ParseStatsLayout(file);
  if (!header.ok()) {
    FUZZ_CHECK(!layout.ok());
    return;
  }
  const size_t metadata_bytes = header->metadata_bytes();
  FUZZ_CHECK(metadata_bytes > kStatsHeaderBytes && metadata_bytes <= kMostFileBytes);
  if (!layout.ok()) return;
  FUZZ_CHECK(file.size() >= metadata_bytes);
  FUZZ_CHECK(layout->descriptors.size() == header->descriptors);
  CheckName(layout->id, *header);
  for (const StatDescriptor& stat : layout->descriptors) CheckDescriptor(stat, *header);
  // A reader asks for metadata_bytes(): that much is needed, and no more.
  FUZZ_CHECK(ParseStatsLayout(file.substr(0, metadata_bytes)).ok());
  FUZZ_CHECK(!ParseStatsLayout(file.substr(0, metadata_bytes - 1)).ok());
}

}  // namespace
}  // namespace lockhost::agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockhost::agent::Check(lockhost::AsText(data, size));
  return 0;
}
