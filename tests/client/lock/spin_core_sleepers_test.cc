// SPDX-License-Identifier: Apache-2.0
//
// Who wakes whom: sleepers, their heir, claims.
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
  word_ = HolderTag(kHolder) | kHeir | ClaimedAt(now_ns_);
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

// The lock is busy for ever: it is free for a moment whenever the waiter does not look.
TEST_F(SpinCoreTest, AnHeirClaimsTheLockOnceItIsTime) {
  word_ = WithOrphans(HolderTag(kHolder), now_ns_);
  on_pause_ = [this] {
    ++reports_.slots[kHolder].report_word;
    if (IsClaimed(word_)) word_ &= ~kHolderMask;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 0);
  EXPECT_EQ(kicks_, 1) << "the oldest sleeper is the next heir";
  EXPECT_EQ(word_, HolderTag(kMe) | kHeir | ClaimedAt(now_ns_));
  EXPECT_GE(pauses_, (kClaimEvery - 1) << kClaimUnitShift >> 10) << "a pause is 1 us";
}

TEST_F(SpinCoreTest, WhoWaitsAloneClaimsTheLockLikewise) {
  HeldBy(kHolder);
  on_pause_ = [this] {
    ++reports_.slots[kHolder].report_word;
    if (IsClaimed(word_)) word_ &= ~kHolderMask;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(word_, HolderTag(kMe));
  EXPECT_GE(pauses_, (kClaimEvery - 1) << kClaimUnitShift >> 10);
}

TEST_F(SpinCoreTest, AClaimedLockIsLeftToItsClaimantButNotForLong) {
  word_ = kClaimed | kHeir;
  EXPECT_EQ(lockhost_core_trylock_in_turn(&env_, &word_), 0);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 0);
  EXPECT_NEAR(static_cast<double>(now_ns_), kClaimHoldsNs, 2'000);
  EXPECT_EQ(word_, HolderTag(kMe) | kHeir) << "the claim ends, the sleepers stay";
}

TEST_F(SpinCoreTest, TheTimeForAClaimantBeginsAnewWithEachHold) {
  word_ = kClaimed | kHeir;
  on_pause_ = [this] {
    if (pauses_ == 15) word_ |= HolderTag(kHolder);
    if (pauses_ == 20) word_ &= ~kHolderMask;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_GE(now_ns_, 20'000 + kClaimHoldsNs);
}

TEST_F(SpinCoreTest, AFreeLockIsTakenAtTheDeadlineThoughItIsClaimed) {
  word_ = kClaimed | kHeir;
  EXPECT_EQ(lockhost_core_lock_until(&env_, &word_, 1), 1);
}

// The claimant may be long gone, as in a forked child: who only tries would try for ever.
TEST_F(SpinCoreTest, WhoOnlyTriesTakesAFreeLockThoughItIsClaimed) {
  word_ = kClaimed | kHeir;
  EXPECT_EQ(lockhost_core_trylock(&env_, &word_), 1);
  EXPECT_EQ(word_, HolderTag(kMe) | kHeir);
  EXPECT_NE(ReportWord() & LOCKHOST_REPORT_HOLDER_MASK, 0u);
}

TEST_F(SpinCoreTest, AClaimantThatGivesUpClaimsNoMore) {
  HeldBy(kHolder);
  on_pause_ = [this] { ++reports_.slots[kHolder].report_word; };
  EXPECT_EQ(lockhost_core_lock_until(&env_, &word_, (kClaimEvery + 1) << kClaimUnitShift), 0);
  EXPECT_GT(now_ns_, kClaimEvery << kClaimUnitShift);
  EXPECT_FALSE(IsClaimed(word_));
  EXPECT_EQ(HolderName(word_), kHolder);
}

TEST_F(SpinCoreTest, AClaimantThatGoesToSleepClaimsNoMore) {
  word_ = WithOrphans(HolderTag(kHolder), now_ns_);
  on_pause_ = [this] {
    ++reports_.slots[kHolder].report_word;
    if (IsClaimed(word_)) SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_FALSE(IsClaimed(word_while_asleep_));
  EXPECT_TRUE(HasOrphans(word_while_asleep_));
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

TEST_F(SpinCoreTest, SaysWhatItIsToTheSleepers) {
  const uint64_t& role = reports_.slots[kMe].wait_role;
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  on_wait_ = [&] {
    EXPECT_EQ(role, LOCKHOST_WAIT_ASLEEP);
    HeldBy(1);
  };
  on_pause_ = [&] {
    EXPECT_EQ(role, sleeps_ == 0 ? 0 : LOCKHOST_WAIT_HEIR);
    if (sleeps_ != 0) word_ &= ~kHolderMask;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_EQ(role, 0u);
  on_pause_ = [&] {
    if (role == LOCKHOST_WAIT_HEIR) word_ &= ~kHolderMask;
  };
  word_ = HolderTag(1) | kOrphans;
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(role, 0u);
}

TEST_F(SpinCoreTest, AnHeirThatGivesUpIsNoneAnyMore) {
  word_ = HolderTag(kHolder) | kOrphans;
  SetState(kHolder, LOCKHOST_RUN_STATE_RUNNING);
  EXPECT_EQ(lockhost_core_lock_until(&env_, &word_, 20'000), 0);
  EXPECT_EQ(word_, HolderTag(kHolder) | kOrphans);
}

}  // namespace
}  // namespace lockhost::lock
