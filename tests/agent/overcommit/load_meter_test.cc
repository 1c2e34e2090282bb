// SPDX-License-Identifier: Apache-2.0
#include "agent/overcommit/load_meter.h"

#include <gtest/gtest.h>

namespace lockhost::agent {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class LoadMeterTest : public testing::Test {
 protected:
  // A second in which so many vCPUs ran, and so many waited, all the time.
  void Pass(double running, double waiting, uint64_t ns = kSecond) {
    now_ns_ += ns;
    run_ns_ += static_cast<uint64_t>(running * static_cast<double>(ns));
    steal_ns_ += static_cast<uint64_t>(waiting * static_cast<double>(ns));
    meter_.Add(now_ns_, run_ns_, steal_ns_);
  }

  LoadMeter meter_;
  uint64_t now_ns_ = 0, run_ns_ = 0, steal_ns_ = 0;
};

TEST_F(LoadMeterTest, OneLookSaysNothing) {
  Pass(2, 1);
  EXPECT_EQ(meter_.Figures(), LoadFigures{});
  EXPECT_FALSE(meter_.settled());
}

TEST_F(LoadMeterTest, WindowsTellTheLastSecondFromTheLastTen) {
  for (int i = 0; i < 10; ++i) Pass(2, 0);
  Pass(2, 2);
  const LoadFigures figures = meter_.Figures();
  EXPECT_NEAR(figures.runnable_vcpus[LoadFigures::kShort], 4, 0.01);
  EXPECT_NEAR(figures.steal_ratio[LoadFigures::kShort], 0.5, 0.01);
  EXPECT_NEAR(figures.runnable_vcpus[LoadFigures::kLong], 2.2, 0.01);
  EXPECT_NEAR(figures.steal_ratio[LoadFigures::kLong], 2.0 / 22, 0.01);
}

TEST_F(LoadMeterTest, WhatIsOlderThanTheLongWindowIsForgotten) {
  for (int i = 0; i < 5; ++i) Pass(0, 2);
  for (int i = 0; i < 10; ++i) Pass(2, 0);
  EXPECT_NEAR(meter_.Figures().steal_ratio[LoadFigures::kLong], 0, 0.001);
  EXPECT_TRUE(meter_.settled());
}

TEST_F(LoadMeterTest, LooksInQuickSuccessionAreSeenAsAWhole) {
  for (int i = 0; i < 3; ++i) Pass(2, 0);
  Pass(0, 1, kSecond / 1000);
  EXPECT_NEAR(meter_.Figures().steal_ratio[LoadFigures::kShort], 0, 0.01)
      << "a millisecond is no second";
}

TEST_F(LoadMeterTest, AnIdleSetHasNoSteal) {
  for (int i = 0; i < 12; ++i) Pass(0, 0);
  EXPECT_EQ(meter_.Figures().steal_ratio[LoadFigures::kLong], 0);
}

TEST_F(LoadMeterTest, ATotalThatShrinksStartsAnew) {
  for (int i = 0; i < 12; ++i) Pass(2, 1);
  run_ns_ = 0;
  Pass(1, 0);
  EXPECT_FALSE(meter_.settled());
  EXPECT_EQ(meter_.Figures(), LoadFigures{});
  Pass(1, 0);
  EXPECT_NEAR(meter_.Figures().runnable_vcpus[LoadFigures::kShort], 1, 0.01);
}

}  // namespace
}  // namespace lockhost::agent
