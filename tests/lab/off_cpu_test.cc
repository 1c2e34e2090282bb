// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/guest/off_cpu.h"

#include <gtest/gtest.h>

namespace lockhost::lab {
namespace {

constexpr Span kPark = {1000, 2000};

uint64_t OffNs(uint32_t state, uint64_t stopped_ns, uint64_t since_ns) {
  lockhost_hint_slot slot = {};
  slot.state_word = lockhost_state_word(state, 1);
  slot.stopped_ns = stopped_ns;
  slot.since_ns = since_ns;
  return Length(OffCpu(slot, kPark));
}

TEST(OffCpuTest, StoppedBeforeAndStillOff) {
  EXPECT_EQ(OffNs(LOCKHOST_RUN_STATE_PREEMPTED, 500, 500), 1000u);
}

TEST(OffCpuTest, StoppedBeforeAndBackAgain) {
  EXPECT_EQ(OffNs(LOCKHOST_RUN_STATE_RUNNING, 500, 1300), 300u);
}

TEST(OffCpuTest, StoppedMeanwhile) {
  EXPECT_EQ(OffNs(LOCKHOST_RUN_STATE_EXITED, 1800, 1800), 200u);
  EXPECT_EQ(OffNs(LOCKHOST_RUN_STATE_RUNNING, 1200, 1300), 100u);
}

TEST(OffCpuTest, AWokenVcpuHasBeenOffSinceItStopped) {
  EXPECT_EQ(OffNs(LOCKHOST_RUN_STATE_PREEMPTED, 1100, 1900), 900u);
}

TEST(OffCpuTest, RanAllTheTime) {
  EXPECT_EQ(OffNs(LOCKHOST_RUN_STATE_RUNNING, 200, 300), 0u);
  EXPECT_EQ(OffNs(LOCKHOST_RUN_STATE_RUNNING, 2100, 2200), 0u);
}

TEST(OffCpuTest, NoHintIsNoTimeOff) { EXPECT_EQ(OffNs(LOCKHOST_RUN_STATE_UNSPECIFIED, 1, 1), 0u); }

TEST(OffCpuTest, OverlapOfSpans) {
  EXPECT_EQ(Overlap({1, 5}, {3, 9}), 2u);
  EXPECT_EQ(Overlap({1, 3}, {5, 9}), 0u);
  EXPECT_EQ(Overlap({1, 9}, {3, 5}), 2u);
}

}  // namespace
}  // namespace lockhost::lab
