// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/guest/park_judgement.h"

#include <gtest/gtest.h>

namespace lockhost::lab {
namespace {

// A sleep from 1000 to 2000, of a waiter whose holder held the lock all the time.
ParkView Park() {
  return {.begin_ns = 1000,
          .end_ns = 2000,
          .truth_off = false,
          .believed_off = false,
          .truth_runs = true,
          .held_on = true,
          .stopped_holding = true,
          .truth_stopped_ns = 0,
          .truth_since_ns = 0,
          .page_stopped_ns = 0,
          .critical_ns = 50,
          .unnoticed_ns = 20};
}

TEST(ParkJudgementTest, HolderOffAndKnownToBe) {
  ParkView park = Park();
  park.truth_off = park.believed_off = true;
  park.truth_runs = false;
  EXPECT_EQ(JudgePark(park).waited_ns, 1000u);
  EXPECT_EQ(JudgePark(park).false_running_ns, 0u);
  EXPECT_EQ(JudgePark(park).false_preempted_ns, 0u);
  park.truth_runs = true;
  park.truth_since_ns = 1700;
  EXPECT_EQ(JudgePark(park).false_preempted_ns, 20u) << "back, until it touched a lock";
}

TEST(ParkJudgementTest, HolderOffAndThePageHearsOfItDuringTheSleep) {
  ParkView park = Park();
  park.truth_off = true;
  park.truth_runs = false;
  park.page_stopped_ns = 1100;
  EXPECT_EQ(JudgePark(park).false_running_ns, 100u);
}

TEST(ParkJudgementTest, HolderOffAndThePageNeverHears) {
  ParkView park = Park();
  park.truth_off = true;
  park.truth_runs = false;
  park.page_stopped_ns = 900;  // of another time
  EXPECT_EQ(JudgePark(park).false_running_ns, 1000u);
}

TEST(ParkJudgementTest, HolderThatStopsOnceMoreOverwritesTheStamps) {
  ParkView park = Park();
  park.truth_off = true;
  park.truth_stopped_ns = 1500;
  EXPECT_FALSE(JudgePark(park).known);
}

TEST(ParkJudgementTest, TheWaitForThisHolderEndsWithItsHold) {
  ParkView park = Park();
  park.held_on = false;
  EXPECT_EQ(JudgePark(park).waited_ns, 50u) << "it ran: one critical section";
  park.truth_stopped_ns = 1200;
  park.truth_since_ns = 1700;
  EXPECT_EQ(JudgePark(park).waited_ns, 750u) << "it stopped in the middle of it";
  EXPECT_EQ(JudgePark(park).false_running_ns, 500u);
  park.stopped_holding = false;
  EXPECT_EQ(JudgePark(park).waited_ns, 50u) << "it stopped after it";
  EXPECT_EQ(JudgePark(park).false_running_ns, 0u);
  park.truth_stopped_ns = 0;
  park.truth_off = true;
  EXPECT_EQ(JudgePark(park).waited_ns, 750u) << "it was off at first";
  EXPECT_EQ(JudgePark(park).false_running_ns, 700u);
}

TEST(ParkJudgementTest, HolderStopsDuringTheSleep) {
  ParkView park = Park();
  park.truth_stopped_ns = 1200;
  park.truth_since_ns = 1700;
  EXPECT_EQ(JudgePark(park).false_running_ns, 500u) << "the page never heard";
  park.page_stopped_ns = 1300;
  EXPECT_EQ(JudgePark(park).false_running_ns, 100u) << "the page heard";
  park.page_stopped_ns = 1800;
  EXPECT_EQ(JudgePark(park).false_running_ns, 500u) << "the page heard when it was back";
  park.truth_runs = false;
  park.page_stopped_ns = 0;
  EXPECT_EQ(JudgePark(park).false_running_ns, 800u) << "still off";
}

TEST(ParkJudgementTest, HolderRanAllTheTime) {
  ParkView park = Park();
  park.truth_stopped_ns = 300;
  park.truth_since_ns = 400;
  EXPECT_EQ(JudgePark(park).false_running_ns, 0u);
  park.believed_off = true;
  EXPECT_EQ(JudgePark(park).false_preempted_ns, 20u);
}

TEST(ParkJudgementTest, NeverMoreThanTheSleep) {
  ParkView park = Park();
  park.unnoticed_ns = 5000;
  park.believed_off = true;
  EXPECT_EQ(JudgePark(park).false_preempted_ns, 1000u);
  park.end_ns = park.begin_ns;
  EXPECT_EQ(JudgePark(park).false_preempted_ns, 0u);
}

}  // namespace
}  // namespace lockhost::lab
