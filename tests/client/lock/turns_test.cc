// SPDX-License-Identifier: Apache-2.0
#include "client/lock/turns.h"

#include <gtest/gtest.h>

#include "tests/client/lock/spin_core_fixture.h"

namespace lockhost::lock {
namespace {

constexpr uint64_t kGap = 10 * kFetch;

class TurnsTest : public SpinCoreTest {
 protected:
  // Takes the lock after a wait of one look at least.
  void WaitForLock() {
    HeldBy(kHolder);
    on_pause_ = [this] {
      if (pauses_ >= free_after_) word_ = 0;
    };
    pauses_ = 0;
    lockhost_core_lock(&env_, &word_);
  }
  void Lock() { lockhost_core_lock(&env_, &word_); }
  void Unlock() { lockhost_core_unlock(&env_, &word_); }
  void KnowThatOthersStayAway() {
    thread_.turns = {.word = &word_,
                     .released_ticks = 0,
                     .waits = 1,
                     .noted = 0,
                     .gap_ticks = kGap,
                     .fetch_ticks = kFetch};
  }

  int free_after_ = 8;
};

TEST_F(TurnsTest, TheGapIsNotedForSomeTurnsAfterAWait) {
  WaitForLock();
  const lockhost_turns& turns = thread_.turns;
  for (uint32_t i = 0; i < kNotedTurns; ++i) {
    EXPECT_EQ(turns.noted, kNotedTurns - i);
    Unlock();
    now_ns_ += kGap;
    Lock();
    EXPECT_EQ(turns.gap_ticks, kGap);
  }
  EXPECT_EQ(turns.noted, 0u);
  const int readings = tick_readings_;
  Unlock();
  Lock();
  EXPECT_EQ(tick_readings_, readings) << "nobody waits any more";
}

TEST_F(TurnsTest, OfALockThatIsContendedForLongNotEachWaitIsFollowed) {
  for (uint32_t i = 0; i <= 2 * kWaitsBetweenNotes; ++i) {
    WaitForLock();
    Unlock();
  }
  EXPECT_LT(tick_readings_, 8 * static_cast<int>(kNotedTurns));
  EXPECT_GT(tick_readings_, 2 * static_cast<int>(kNotedTurns)) << "but now and then again";
}

TEST_F(TurnsTest, TheGapIsOfOneLockAlone) {
  WaitForLock();
  Unlock();
  now_ns_ += kGap;
  uint32_t other = 0;
  lockhost_core_lock(&env_, &other);
  EXPECT_EQ(thread_.turns.gap_ticks, 0u);
  now_ns_ += kGap;
  lockhost_core_unlock(&env_, &other);
  Lock();
  EXPECT_EQ(thread_.turns.gap_ticks, 2 * kGap);
  uint32_t waited_for = HolderTag(kHolder);
  on_pause_ = [&] { waited_for = 0; };
  lockhost_core_lock(&env_, &waited_for);
  EXPECT_EQ(thread_.turns.gap_ticks, 0u);
  EXPECT_EQ(thread_.turns.word, &waited_for);
}

TEST_F(TurnsTest, AGapInWhichTheThreadLostItsCpuCountsForLittle) {
  WaitForLock();
  Unlock();
  now_ns_ += 4'000'000;
  Lock();
  EXPECT_EQ(thread_.turns.gap_ticks, kLongestGapTicks);
}

TEST_F(TurnsTest, WhatAFetchTakesIsLearntFromHeldWords) {
  is_busy_ = true;
  free_after_ = 100;
  WaitForLock();
  EXPECT_EQ(thread_.turns.fetch_ticks, kFetch);
}

TEST(TakesOverAtOnceTest, Cases) {
  const uint32_t word = 0;
  const auto takes_over = [&](uint32_t gap, uint32_t fetch, const uint32_t* of) {
    return TakesOverAtOnce({.word = &word,
                            .released_ticks = 0,
                            .waits = 1,
                            .noted = 0,
                            .gap_ticks = gap,
                            .fetch_ticks = fetch},
                           of);
  };
  EXPECT_TRUE(takes_over(310, 200, &word));
  EXPECT_FALSE(takes_over(290, 200, &word));
  EXPECT_FALSE(takes_over(30, 20, &word));
  EXPECT_FALSE(takes_over(310, 0, &word)) << "not known";
  EXPECT_FALSE(takes_over(0, 200, &word)) << "not known";
  EXPECT_FALSE(takes_over(310, 200, nullptr)) << "of another lock";
}

// Otherwise the first look at the word comes after 8 pauses, the next after 11 more.
TEST_F(TurnsTest, WhereOthersStayAwayTheLockIsTakenOverAtOnce) {
  pause_ns_ = 5;
  for (const bool is_busy : {false, true}) {
    is_busy_ = is_busy;
    for (free_after_ = 1; free_after_ < 32; ++free_after_) {
      KnowThatOthersStayAway();
      WaitForLock();
      EXPECT_EQ(pauses_, free_after_);
    }
  }
}

TEST_F(TurnsTest, WhoTakesOverAtOnceWatchesALongHoldLessOften) {
  pause_ns_ = 5;
  is_busy_ = true;
  free_after_ = 1'000;
  KnowThatOthersStayAway();
  WaitForLock();
  EXPECT_LE(pauses_, 1'000 + 40) << "0.1 us, and a look";
  EXPECT_LT(looks_, 150);
}

}  // namespace
}  // namespace lockhost::lock
