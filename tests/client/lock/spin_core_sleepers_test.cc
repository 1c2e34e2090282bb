// SPDX-License-Identifier: Apache-2.0
//
// Who wakes whom: sleepers, their heir, rotation.
#include <gtest/gtest.h>

#include "tests/client/lock/spin_core_fixture.h"

namespace lockhost::lock {
namespace {

TEST_F(SpinCoreTest, WhoHasSleptTakesTheLockForOtherSleepersToo) {
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(word_, WithOrphans(HolderTag(kMe), now_ns_));
  lockhost_core_unlock(&env_, &word_);
  EXPECT_EQ(kicks_, 1);
  EXPECT_FALSE(IsHeld(word_));
  EXPECT_EQ(LeftToTaker(word_), 0u) << "the woken one sets the bit again";
}

// Whoever took the lock meanwhile may have freed its memory to somebody else's use.
TEST_F(SpinCoreTest, AnUnlockDoesNotTouchTheWordOnceItIsFree) {
  for (int found : {0, 1}) {
    word_ = HolderTag(kMe) | kOrphans;
    thread_.held = 1;
    asleep_elsewhere_ = found;
    on_kick_ = [this] { word_ = 0xdeadbeef; };
    lockhost_core_unlock(&env_, &word_);
    EXPECT_EQ(word_, 0xdeadbeef) << "sleepers found: " << found;
  }
  EXPECT_EQ(kicks_, 2);
}

// As a forked child finds the word that was waited for in its parent.
TEST_F(SpinCoreTest, AnHeirBitWithoutAnHeirDoesNotKeepASleeperAsleep) {
  word_ = HolderTag(kHolder) | kHeir | RotatedAt(now_ns_);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_TRUE(HasOrphans(word_while_asleep_)) << "so the unlock wakes it";
}

TEST_F(SpinCoreTest, WithAnHeirAwakeAnUnlockWakesNobody) {
  word_ = HolderTag(kMe) | kHeir;
  thread_.held = 1;
  lockhost_core_unlock(&env_, &word_);
  EXPECT_EQ(kicks_, 0);
  EXPECT_EQ(word_, kHeir);
}

TEST_F(SpinCoreTest, AFreeLockIsTakenOverItsSleepers) {
  word_ = kHeir;
  EXPECT_EQ(lockhost_core_trylock(&env_, &word_), 1);
  EXPECT_EQ(word_, HolderTag(kMe) | kHeir) << "neither sleepers nor heir are lost";
}

TEST_F(SpinCoreTest, ASpinnerIsTheHeirUntilItTakesTheLock) {
  word_ = HolderTag(kHolder) | kOrphans;
  SetState(kHolder, LOCKHOST_RUN_STATE_RUNNING);
  on_pause_ = [this] {
    EXPECT_TRUE(word_ & kHeir);
    if (pauses_ == 20) word_ &= ~kHolderMask;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(word_, HolderTag(kMe) | kOrphans);
}

TEST_F(SpinCoreTest, OneHeirIsEnough) {
  word_ = HolderTag(kHolder) | kHeir;
  SetState(kHolder, LOCKHOST_RUN_STATE_RUNNING);
  on_pause_ = [this] {
    if (pauses_ == 20) word_ &= ~kHolderMask;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(word_, HolderTag(kMe) | kHeir) << "the other one's bit stays";
}

// A bit that outlives its owner would leave the sleepers asleep for ever.
TEST_F(SpinCoreTest, AnHeirThatGoesToSleepIsNoneAnyMore) {
  for (int first_sleeper_after = 0; first_sleeper_after < 16; ++first_sleeper_after) {
    HeldBy(kHolder);
    SetState(kHolder, LOCKHOST_RUN_STATE_RUNNING);
    pauses_ = sleeps_ = 0;
    on_pause_ = [&] {
      if (pauses_ != first_sleeper_after) return;
      word_ |= kOrphans;
      SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
    };
    if (first_sleeper_after == 0) word_ |= kOrphans;
    lockhost_core_lock(&env_, &word_);
    EXPECT_EQ(sleeps_, 1);
    EXPECT_FALSE(word_while_asleep_ & kHeir) << "sleepers after pause " << first_sleeper_after;
    lockhost_core_unlock(&env_, &word_);
  }
}

TEST_F(SpinCoreTest, AnHeirGivesWayToTheOldestSleeperOnceItIsTime) {
  word_ = WithOrphans(HolderTag(kHolder), now_ns_);
  asleep_elsewhere_ = 1;
  on_pause_ = [this] { ++reports_.slots[kHolder].report_word; };  // the lock is busy
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(kicks_, 1);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_EQ(last_waiting_.gives_way, 1u);
  EXPECT_TRUE(word_while_asleep_ & kHeir) << "the one that was woken";
  EXPECT_GE(pauses_, (kRotateEvery - 1) << kRotationUnitShift >> 10) << "a pause is 1 us";
}

TEST_F(SpinCoreTest, NobodyGivesWayToNobody) {
  word_ = WithOrphans(HolderTag(kHolder), now_ns_);
  on_pause_ = [this] {
    ++reports_.slots[kHolder].report_word;
    if (pauses_ > 10'000) word_ &= ~kHolderMask;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(kicks_, 2);
  EXPECT_EQ(sleeps_, 0);
  EXPECT_EQ(word_, HolderTag(kMe));
}

TEST_F(SpinCoreTest, AWakeupForNothingIsSleptOver) {
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  on_wait_ = [this] {
    if (sleeps_ == 5) word_ = 0;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 5);
}

// The unlock that woke this waiter cleared the bit for the others that sleep.
TEST_F(SpinCoreTest, WhoGivesUpAfterASleepSetsTheSleepersBitAgain) {
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  on_wait_ = [this] { HeldBy(1); };
  EXPECT_EQ(lockhost_core_lock_until(&env_, &word_, 1'000'000), 0);
  EXPECT_EQ(word_, WithOrphans(HolderTag(1), now_ns_));
}

TEST_F(SpinCoreTest, AnHeirThatGivesUpIsNoneAnyMore) {
  word_ = HolderTag(kHolder) | kOrphans;
  SetState(kHolder, LOCKHOST_RUN_STATE_RUNNING);
  EXPECT_EQ(lockhost_core_lock_until(&env_, &word_, 20'000), 0);
  EXPECT_EQ(word_, HolderTag(kHolder) | kOrphans);
}

}  // namespace
}  // namespace lockhost::lock
