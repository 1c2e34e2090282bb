// SPDX-License-Identifier: Apache-2.0
//
// How a waiter waits, gives up, and what it reports.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "tests/client/lock/spin_core_fixture.h"

namespace lockhost::lock {
namespace {

TEST_F(SpinCoreTest, TakesAFreeLockWithoutWaiting) {
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(word_, HolderTag(kMe));
  EXPECT_EQ(pauses_ + sleeps_, 0);
  lockhost_core_unlock(&env_, &word_);
  EXPECT_EQ(word_, 0u);
  EXPECT_EQ(kicks_, 0);
}

TEST_F(SpinCoreTest, TrylockFailsWithoutWaiting) {
  HeldBy(kHolder);
  EXPECT_EQ(lockhost_core_trylock(&env_, &word_), 0);
  EXPECT_EQ(word_, HolderTag(kHolder));
  word_ = 0;
  EXPECT_EQ(lockhost_core_trylock(&env_, &word_), 1);
}

TEST_F(SpinCoreTest, SpinsWhileTheHolderRuns) {
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_RUNNING);
  on_pause_ = [this] {
    if (now_ns_ > 2 * kBlindSpinNs) word_ = 0;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 0);
  EXPECT_EQ(last_waiting_.awaited_vcpu, kHolder);
  EXPECT_EQ(last_waiting_.believed_state, LOCKHOST_RUN_STATE_RUNNING);
}

TEST_F(SpinCoreTest, ParksAtOnceWhenTheHolderIsPreempted) {
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_LE(pauses_, 10);
  EXPECT_EQ(word_while_asleep_, WithOrphans(HolderTag(kHolder), 1));
}

// The host runs it again at once; should it not, the waiter parks as behind one that runs.
TEST_F(SpinCoreTest, SpinsAWhileOnAPreemptedHolderThatTheHostIsToRunAgain) {
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  page_.slots[kHolder].recalled = page_.slots[kHolder].state_word;
  on_pause_ = [this] {
    if (now_ns_ > kRunningSpinNs / 2) word_ = 0;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 0);
  on_pause_ = nullptr;
  HeldBy(kHolder);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
}

TEST_F(SpinCoreTest, WithoutHintParksAfterTheBlindSpin) {
  HeldBy(kHolder);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_GE(pauses_, static_cast<int>(kBlindSpinNs / 1'000));
}

TEST_F(SpinCoreTest, AHintThatNeverEndsDoesNotKeepAWaiterSpinning) {
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_RUNNING);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
}

// Who waits long watches the word less often, yet sees soon that it is free.
TEST_F(SpinCoreTest, AWaitOutlastsTheHoldByAQuarterAtMost) {
  pause_ns_ = 5;
  for (const int free_after : {1, 2, 4, 10, 30, 100, 300, 1'000, 3'000}) {
    HeldBy(kHolder);
    pauses_ = 0;
    on_pause_ = [&] {
      if (pauses_ == free_after) word_ = 0;
    };
    lockhost_core_lock(&env_, &word_);
    EXPECT_LE(pauses_, free_after + free_after / 4 + 10) << "the first interval is 8";
    EXPECT_LE(pauses_, free_after + 160) << "0.6 us, and a look";
    EXPECT_TRUE(free_after < 300 || pauses_ > free_after) << free_after;
  }
  EXPECT_EQ(sleeps_, 0);
}

TEST_F(SpinCoreTest, ProgressOfTheHolderRestartsThePatience) {
  HeldBy(kHolder);
  on_pause_ = [this] {
    ++reports_.slots[kHolder].report_word;
    if (now_ns_ > 10 * kBlindSpinNs) word_ = 0;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 0);
}

// Somebody works on the word, though it looks the same at each look; for a while that is believed.
TEST_F(SpinCoreTest, AWordThatIsWrittenToRestartsThePatienceForAWhile) {
  env_.pages = {};
  is_busy_ = true;
  for (const bool ends : {true, false}) {
    HeldBy(kHolder);
    now_ns_ = 1;
    on_pause_ = [&] {
      if (ends && now_ns_ > 10 * kBlindSpinNs) word_ = 0;
    };
    sleeps_ = 0;
    lockhost_core_lock(&env_, &word_);
    EXPECT_EQ(sleeps_, ends ? 0 : 1);
  }
}

// Other waiters write to a mutex' word, too, and its holder may sleep.
TEST_F(SpinCoreTest, AMutexThatIsWrittenToIsWaitedForNoLonger) {
  env_.pages = {};
  is_busy_ = true;
  HeldBy(kHolder);
  EXPECT_EQ(lockhost_core_mutex_lock_until(&env_, &word_, UINT64_MAX), 1);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_LT(pauses_, 4 * static_cast<int>(kBlindSpinNs / 1'000));
}

// Each look takes the cache line from the holder.
TEST_F(SpinCoreTest, AWordThatIsWrittenToIsLookedAtLessOften) {
  env_.pages = {};
  pause_ns_ = 5;
  std::array<int, 2> looks = {};
  for (const bool busy : {false, true}) {
    is_busy_ = busy;
    looks_ = pauses_ = 0;
    HeldBy(kHolder);
    on_pause_ = [&] {
      if (pauses_ == 3'000) word_ = 0;
    };
    lockhost_core_lock(&env_, &word_);
    looks[busy] = looks_;
  }
  EXPECT_LT(3 * looks[true], looks[false]);
}

TEST_F(SpinCoreTest, HolderOnMyOwnVcpuDoesNotRun) {
  HeldBy(kMe);
  SetState(kMe, LOCKHOST_RUN_STATE_RUNNING);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
}

TEST_F(SpinCoreTest, ReportsWhatItHolds) {
  uint32_t inner = 0;
  std::set<uint64_t> words;
  lockhost_core_lock(&env_, &word_);
  words.insert(ReportWord());
  EXPECT_EQ(ReportWord() & LOCKHOST_REPORT_HOLDER_MASK, kMyName);
  lockhost_core_lock(&env_, &inner);
  words.insert(ReportWord());
  lockhost_core_unlock(&env_, &inner);
  words.insert(ReportWord());
  EXPECT_EQ(ReportWord() & LOCKHOST_REPORT_HOLDER_MASK, kMyName) << "one is still held";
  lockhost_core_unlock(&env_, &word_);
  words.insert(ReportWord());
  EXPECT_EQ(ReportWord() & LOCKHOST_REPORT_HOLDER_MASK, 0u);
  EXPECT_EQ(words.size(), 4u) << "every store changes the word";
}

TEST_F(SpinCoreTest, AWaiterMarksTheAwaitedVcpuAndRingsOnce) {
  HeldBy(kHolder);
  reports_.header.bell_armed = 1;
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(reports_.slots[kHolder].awaited, 1u);
  EXPECT_EQ(rings_, 1);
  EXPECT_EQ(reports_.header.bell, 1u);
  EXPECT_EQ(reports_.header.bell_armed, 0u);
}

TEST_F(SpinCoreTest, NoDemandWithoutContention) {
  reports_.header.bell_armed = 1;
  lockhost_core_lock(&env_, &word_);
  lockhost_core_unlock(&env_, &word_);
  EXPECT_EQ(rings_, 0);
}

TEST_F(SpinCoreTest, WorksWithoutPages) {
  env_.pages = {};
  HeldBy(kHolder);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  lockhost_core_unlock(&env_, &word_);
  EXPECT_FALSE(IsHeld(word_));
}

TEST_F(SpinCoreTest, HolderOnAnUnknownVcpuIsWaitedForWithoutHint) {
  HeldBy(LOCKHOST_UNKNOWN_VCPU);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_EQ(last_waiting_.awaited_vcpu, LOCKHOST_UNKNOWN_VCPU);
}

TEST_F(SpinCoreTest, GivesUpOnceTheDeadlineHasPassed) {
  HeldBy(kHolder);
  EXPECT_EQ(lockhost_core_lock_until(&env_, &word_, 10'000), 0);
  EXPECT_EQ(word_, HolderTag(kHolder));
  EXPECT_EQ(sleeps_, 0);
  EXPECT_EQ(ReportWord() & LOCKHOST_REPORT_HOLDER_MASK, 0u);
}

TEST_F(SpinCoreTest, SleepsNoLongerThanUntilTheDeadline) {
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  on_wait_ = [] {};  // ends by its time
  woken_by_kick_ = 0;
  EXPECT_EQ(lockhost_core_lock_until(&env_, &word_, 2'000'000), 0);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_GT(last_timeout_ns_, 1'900'000u);
  EXPECT_LT(last_timeout_ns_, 2'000'000u);
}

TEST_F(SpinCoreTest, AFreeLockIsTakenThoughTheDeadlineHasPassed) {
  now_ns_ = 50'000;
  EXPECT_EQ(lockhost_core_lock_until(&env_, &word_, 1), 1);
}

}  // namespace
}  // namespace lockhost::lock
