// SPDX-License-Identifier: Apache-2.0
#include "agent/overcommit/overcommit.h"

#include <gtest/gtest.h>

#include <vector>

namespace lockhost::agent {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kVm = 7;

// One VM on four CPUs.
class OvercommitTest : public testing::Test {
 protected:
  void Pass(double running, double waiting, int seconds = 1) {
    for (int i = 0; i < seconds; ++i) {
      now_ns_ += kSecond;
      vm_.run_ns += static_cast<uint64_t>(running * kSecond);
      vm_.steal_ns += static_cast<uint64_t>(waiting * kSecond);
      overcommit_.Observe(now_ns_, host_, {&vm_, 1});
    }
  }
  lockhost_mode mode() const { return overcommit_.Of(kVm).mode; }

  Overcommit overcommit_;
  HostLoad host_ = {.online_cpus = 4, .runnable_threads = 1};
  VmLoad vm_ = {.vm_id = kVm, .live_vcpus = 2, .runnable_now = 0};
  uint64_t now_ns_ = 0;
};

TEST_F(OvercommitTest, AnUnknownVmHasNoMode) {
  EXPECT_EQ(overcommit_.Of(99).mode, LOCKHOST_MODE_UNSPECIFIED);
  EXPECT_EQ(overcommit_.Of(99).load, LoadFigures{});
}

TEST_F(OvercommitTest, ItTakesTenQuietSecondsToBeCalledDedicated) {
  Pass(2, 0, 9);
  EXPECT_EQ(mode(), LOCKHOST_MODE_UNSPECIFIED);
  Pass(2, 0, 2);
  EXPECT_EQ(mode(), LOCKHOST_MODE_DEDICATED);
}

TEST_F(OvercommitTest, OneSecondOfStealEndsIt) {
  Pass(2, 0, 12);
  Pass(1.9, 0.1);
  EXPECT_EQ(mode(), LOCKHOST_MODE_OVERCOMMITTED);
  Pass(2, 0, 5);
  EXPECT_EQ(mode(), LOCKHOST_MODE_OVERCOMMITTED) << "not before ten quiet seconds";
  Pass(2, 0, 6);
  EXPECT_EQ(mode(), LOCKHOST_MODE_DEDICATED);
}

TEST_F(OvercommitTest, BetweenTheBoundsTheModeStays) {
  Pass(2, 0, 12);
  Pass(2, 0.01, 20);
  EXPECT_EQ(mode(), LOCKHOST_MODE_DEDICATED);
  Pass(1.9, 0.1);
  Pass(2, 0.01, 20);
  EXPECT_EQ(mode(), LOCKHOST_MODE_OVERCOMMITTED);
}

TEST_F(OvercommitTest, MoreVcpusThanCpusAreOvercommittedThoughAllIsQuiet) {
  Pass(0, 0, 12);
  vm_.live_vcpus = 5;
  Pass(0, 0);
  EXPECT_EQ(mode(), LOCKHOST_MODE_OVERCOMMITTED);
}

TEST_F(OvercommitTest, HostFiguresCountVcpusAndOthersForEachCpu) {
  host_.runnable_threads = 6;  // two vCPUs, the agent, three others
  vm_.runnable_now = 2;
  Pass(1.5, 0.5, 3);
  const HostFigures& host = overcommit_.host();
  EXPECT_NEAR(host.load.runnable_vcpus[LoadFigures::kShort], 2, 0.01);
  EXPECT_NEAR(host.other_runnable[LoadFigures::kShort], 3, 0.01);
  EXPECT_NEAR(host.overcommit[LoadFigures::kShort], 5.0 / 4, 0.01);
  EXPECT_NEAR(host.load.steal_ratio[LoadFigures::kShort], 0.25, 0.01);
}

TEST_F(OvercommitTest, AVmThatGoesTakesNothingFromTheHostsTotals) {
  VmLoad other = {.vm_id = 8, .live_vcpus = 1, .run_ns = 5 * kSecond};
  Pass(1, 0, 2);
  now_ns_ += kSecond;
  vm_.run_ns += kSecond;
  const std::vector<VmLoad> both = {vm_, other};
  overcommit_.Observe(now_ns_, host_, both);
  Pass(1, 0);
  EXPECT_NEAR(overcommit_.host().load.runnable_vcpus[LoadFigures::kShort], 1, 0.01);
  EXPECT_EQ(overcommit_.Of(8).load, LoadFigures{}) << "forgotten";
}

}  // namespace
}  // namespace lockhost::agent
