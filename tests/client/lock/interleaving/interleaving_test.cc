// SPDX-License-Identifier: Apache-2.0
//
// The protocol of the lock word, over all interleavings within bounds; and that a broken
// protocol is noticed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/lock/lock_word.h"
#include "tests/client/lock/interleaving/expect_sound.h"
#include "tests/client/lock/interleaving/explorer.h"

namespace lockhost::interleaving {
namespace {

using lock::IsHeld;
using lock::kHeir;
using lock::kOrphans;

constexpr int kNoBound = 1'000;

TEST(InterleavingTest, TwoThreadsInAnyOrder) {
  ExpectSound({.locks_of_thread = {1, 1}, .preemptions = kNoBound, .looks = 1});
}

TEST(InterleavingTest, TwoThreadsThatComeBackAndWakeEarly) {
  ExpectSound({.locks_of_thread = {2, 2}, .preemptions = 4, .early_returns = 1});
}

TEST(InterleavingTest, ThreeThreadsOfWhomSomeClaim) {
  const Outcome outcome = ExpectSound({.locks_of_thread = {1, 1, 1}, .preemptions = 2});
  EXPECT_GT(outcome.claims, 0u);
}

TEST(InterleavingTest, WhoGivesUpLeavesNobodyAsleep) {
  const Outcome outcome = ExpectSound(
      {.locks_of_thread = {1, 1, 1}, .timed = {false, true, false}, .preemptions = 2, .looks = 1});
  EXPECT_GT(outcome.give_ups, 0u);
}

TEST(InterleavingTest, NativeAndParavirtualHoldersTakeTurns) {
  const Outcome two =
      ExpectSound({.locks_of_thread = {2, 2}, .preemptions = 2, .looks = 1, .switches_mode = true});
  EXPECT_GT(two.native_locks, 0u);
  EXPECT_GT(two.naps, 0u);
  ExpectSound({.locks_of_thread = {1, 1, 1}, .preemptions = 1, .looks = 1, .switches_mode = true});
}

TEST(InterleavingTest, WhoGivesUpUnderANativeHolderLeavesNobodyAsleep) {
  const Outcome outcome = ExpectSound({.locks_of_thread = {1, 1, 1},
                                       .timed = {false, true, false},
                                       .preemptions = 1,
                                       .looks = 1,
                                       .switches_mode = true});
  EXPECT_GT(outcome.give_ups, 0u);
}

// The checker is worth what it notices.
class BrokenProtocolTest : public testing::Test {
 protected:
  static void ExpectNoticed(const Faults& faults, const std::string& why) {
    const Outcome outcome =
        Explorer({.locks_of_thread = {1, 1, 1}, .preemptions = 2}, faults).Explore();
    EXPECT_THAT(outcome.failure, testing::StartsWith(why));
  }
};

constexpr char kLostWakeup[] = "everybody sleeps: a wake-up was lost";

TEST_F(BrokenProtocolTest, WhoHasSleptForgetsTheOtherSleepers) {
  ExpectNoticed({.store =
                     [](uint32_t before, uint32_t after) {
                       const bool takes = !IsHeld(before) && IsHeld(after);
                       return takes ? after & lock::kHolderMask : after;
                     }},
                kLostWakeup);
}

TEST_F(BrokenProtocolTest, TheHeirBitOutlivesItsOwner) {
  ExpectNoticed({.store =
                     [](uint32_t before, uint32_t after) {
                       const bool outlives = IsHeld(after) && (before & kHeir) != 0;
                       return outlives ? (after & ~kOrphans) | kHeir : after;
                     }},
                kLostWakeup);
}

TEST_F(BrokenProtocolTest, AnUnlockDropsTheSleepersOfAnHeir) {
  ExpectNoticed(
      {.store = [](uint32_t before,
                   uint32_t after) { return IsHeld(before) && !IsHeld(after) ? 0 : after; }},
      kLostWakeup);
}

TEST_F(BrokenProtocolTest, ANativeLockIsTakenOverSleepers) {
  const Outcome outcome =
      Explorer(
          {.locks_of_thread = {2, 2, 1}, .preemptions = 2, .looks = 1, .switches_mode = true},
          {.store = [](uint32_t before,
                       uint32_t after) { return IsHeld(before) && !IsHeld(after) ? 0 : after; }})
          .Explore();
  EXPECT_THAT(outcome.failure, testing::StartsWith(kLostWakeup));
}

TEST_F(BrokenProtocolTest, AKickWakesNobody) {
  ExpectNoticed({.kick_wakes_nobody = true}, kLostWakeup);
}

TEST_F(BrokenProtocolTest, ASleeperDoesNotCompareTheWord) {
  ExpectNoticed({.wait_does_not_compare = true}, kLostWakeup);
}

TEST_F(BrokenProtocolTest, TakingTheLockDoesNotSayWhoHoldsIt) {
  ExpectNoticed(
      {.store = [](uint32_t before, uint32_t after) { return IsHeld(before) ? after : before; }},
      "two threads hold the lock");
}

TEST_F(BrokenProtocolTest, AnUnlockReadsTheWordOnceItIsFree) {
  ExpectNoticed({.kick_reads_the_word = true}, "an unlock touches the word after it has freed it");
}

}  // namespace
}  // namespace lockhost::interleaving
