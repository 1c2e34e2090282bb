// SPDX-License-Identifier: Apache-2.0
#include "agent/kvm_stats/stats_layout.h"

#include <gtest/gtest.h>
#include <linux/kvm.h>

#include <cstring>
#include <random>
#include <string>

namespace lockhost::agent {
namespace {

constexpr uint32_t kNameBytes = 16;
constexpr size_t kId = 24;
constexpr size_t kDescriptor = kId + kNameBytes;

template <typename T>
void Put(std::string& file, size_t offset, T value) {
  std::memcpy(file.data() + offset, &value, sizeof(value));
}

// Header, id, one descriptor of a time in nanoseconds.
std::string ValidFile() {
  std::string file(kDescriptor + 16 + kNameBytes, '\0');
  const uint32_t data_offset = static_cast<uint32_t>(file.size());
  Put(file, 0, kvm_stats_header{0, kNameBytes, 1, kId, kDescriptor, data_offset});
  file.replace(kId, 12, "kvm-7/vcpu-0");
  Put(file, kDescriptor, uint32_t{KVM_STATS_UNIT_SECONDS});
  Put(file, kDescriptor + 4, int16_t{-9});
  Put(file, kDescriptor + 6, uint16_t{1});
  Put(file, kDescriptor + 8, uint32_t{8});
  file.replace(kDescriptor + 16, 12, "halt_wait_ns");
  return file;
}

TEST(StatsLayoutTest, ReadsWhatTheKernelWrites) {
  const auto layout = ParseStatsLayout(ValidFile());
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->id, "kvm-7/vcpu-0");
  ASSERT_EQ(layout->descriptors.size(), 1u);
  const StatDescriptor& stat = layout->descriptors[0];
  EXPECT_EQ(stat.name, "halt_wait_ns");
  EXPECT_EQ(stat.unit, StatUnit::kSeconds);
  EXPECT_EQ(stat.exponent, -9);
  EXPECT_EQ(stat.file_offset, ValidFile().size() + 8);
}

TEST(StatsLayoutTest, RefusesEveryTruncation) {
  const std::string file = ValidFile();
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(ParseStatsLayout(file.substr(0, size)).ok()) << size;
  }
}

TEST(StatsLayoutTest, RefusesImpossibleNumbers) {
  struct Case {
    const char* what;
    size_t offset;
    uint32_t value;
  };
  for (const Case& bad :
       {Case{"name size 0", 4, 0}, Case{"name size", 4, 0xffffffff}, Case{"no descriptors", 8, 0},
        Case{"descriptors", 8, 0xffffffff}, Case{"id in the header", 12, 23},
        Case{"id", 12, 0xfffffff8}, Case{"descriptors' offset", 16, 0xfffffff8},
        Case{"data offset", 20, 0xfffffff8}, Case{"type", kDescriptor, 5},
        Case{"unit", kDescriptor, 5 << 4}, Case{"base", kDescriptor, 2 << 8},
        Case{"bucket size", kDescriptor, KVM_STATS_TYPE_LINEAR_HIST},
        Case{"exponent", kDescriptor + 4, 0x00018000}, Case{"no values", kDescriptor + 4, 0},
        Case{"values", kDescriptor + 4, 0xffff0000},
        Case{"values' offset", kDescriptor + 8, 0xfffffff8},
        Case{"empty name", kDescriptor + 16, 0},
        Case{"name not printable", kDescriptor + 16, 0x01010101}}) {
    std::string file = ValidFile();
    Put(file, bad.offset, bad.value);
    EXPECT_TRUE(absl::IsInvalidArgument(ParseStatsLayout(file).status())) << bad.what;
  }
}

TEST(StatsLayoutTest, RefusesANameWithoutEnd) {
  std::string file = ValidFile();
  file.replace(kDescriptor + 16, kNameBytes, std::string(kNameBytes, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseStatsLayout(file).status()));
}

TEST(StatsLayoutTest, GarbageYieldsNothingOutOfRange) {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string file = ValidFile();
    for (int i = 0; i < 3; ++i) file[random() % file.size()] = static_cast<char>(random());
    const auto layout = ParseStatsLayout(file);
    if (!layout.ok()) continue;
    for (const StatDescriptor& stat : layout->descriptors) {
      EXPECT_FALSE(stat.name.empty());
      EXPECT_LE(stat.file_offset + stat.values * 8u, 1u << 20);
    }
  }
}

}  // namespace
}  // namespace lockhost::agent
