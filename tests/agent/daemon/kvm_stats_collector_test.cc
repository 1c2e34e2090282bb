// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/kvm_stats_collector.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000, kStartNs = 100 * kSecondNs;

// A VMM of two vCPUs, this process, that opens its statistics late.
class KvmStatsCollectorTest : public testing::Test {
 protected:
  void SetUp() override {
    auto vm = TinyVm::Create(2);
    if (!vm.ok()) GTEST_SKIP() << vm.status();
    vmm_ = *std::move(vm);
    const auto probe = vmm_->OpenStats(0);
    if (!probe.ok()) GTEST_SKIP() << "no KVM with statistics files here: " << probe.status();
    Vm followed;
    followed.record.vm_id = 1;
    followed.record.process = {getpid(), procfs_.Stat(getpid())->start_ticks};
    followed.counts = {2, 2};
    registry_.Insert(std::move(followed));
  }
  bool AnyAt(uint64_t after_ns) {
    collector_.Collect(kStartNs + after_ns, registry_);
    const KvmStatValues values = collector_.Of(1);
    return std::any_of(values.begin(), values.end(), [](const auto& each) { return !!each; });
  }
  uint64_t Taken() const { return collector_.counts().taken; }

  std::unique_ptr<TinyVm> vmm_;
  const Procfs procfs_ = *Procfs::Open();
  VmRegistry registry_;
  KvmStatsCollector collector_{&procfs_};
};

TEST_F(KvmStatsCollectorTest, LooksAgainForFilesThatAreOpenedLate) {
  EXPECT_FALSE(AnyAt(0));
  const auto first = vmm_->OpenStats(0);
  EXPECT_FALSE(AnyAt(kSecondNs - 1)) << "not at each call";
  EXPECT_TRUE(AnyAt(kSecondNs));
  EXPECT_EQ(Taken(), 1u);
  const auto second = vmm_->OpenStats(1);
  EXPECT_TRUE(AnyAt(3 * kSecondNs - 1));
  EXPECT_EQ(Taken(), 1u) << "one second, then two";
  EXPECT_TRUE(AnyAt(3 * kSecondNs));
  const uint64_t all = Taken();
  EXPECT_GT(all, 1u);
  EXPECT_TRUE(AnyAt(1000 * kSecondNs));
  EXPECT_EQ(Taken(), all) << "it has all";
}

TEST_F(KvmStatsCollectorTest, LooksOftenEnoughAtLast) {
  for (uint64_t second = 0; second < 1000; ++second) EXPECT_FALSE(AnyAt(second * kSecondNs));
  const auto file = vmm_->OpenStats(0);
  EXPECT_TRUE(AnyAt(1064 * kSecondNs));
}

}  // namespace
}  // namespace lockhost::agent
