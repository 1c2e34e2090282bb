// SPDX-License-Identifier: Apache-2.0
//
// The core under a test's hand: one thread plays a waiter, the injected platform
// plays the rest of the world.
#include "client/lock/spin_core.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "client/lock/lock_word.h"
#include "client/lock/wait_policy.h"

namespace lockhost::lock {
namespace {

constexpr uint32_t kMe = 0;
constexpr uint32_t kHolder = 2;
constexpr uint32_t kSlots = 4;

// A world that moves only when the waiter pauses or sleeps.
class SpinCoreTest : public testing::Test {
 protected:
  SpinCoreTest() {
    static constexpr lockhost_platform kPlatform = {
        .wait =
            [](void* self, uint32_t* word, uint32_t expected, uint64_t timeout_ns,
               const lockhost_waiting* waiting) {
              World(self).last_timeout_ns_ = timeout_ns;
              World(self).OnWait(word, expected, *waiting);
              return World(self).woken_by_kick_;
            },
        .kick = [](void* self, uint32_t*) { return World(self).OnKick(); },
        .pause = [](void* self, const lockhost_waiting* waiting) { World(self).OnPause(*waiting); },
        .current_vcpu = [](void*) { return kMe; },
        .self = [](void* self) { return &World(self).thread_; },
        .now_ns = [](void* self) { return World(self).now_ns_; },
        .ring = [](void* self, lockhost_report_header*) { ++World(self).rings_; },
    };
    page_.header.valid_until_ns = UINT64_MAX;
    page_.header.path = LOCKHOST_PAGE_PATH_DIRECT_MAP;
    env_.platform = &kPlatform;
    env_.context = this;
    env_.pages = {&page_.header, &page_.header, &reports_.header, kSlots, kSlots};
  }

  static SpinCoreTest& World(void* self) { return *static_cast<SpinCoreTest*>(self); }

  void OnPause(const lockhost_waiting& waiting) {
    ++pauses_;
    now_ns_ += pause_ns_;
    last_waiting_ = waiting;
    if (on_pause_) on_pause_();
    if (pauses_ > 100'000) {
      ADD_FAILURE() << "waits for ever";
      word_ = 0;
    }
  }

  int OnKick() {
    ++kicks_;
    if (on_kick_) on_kick_();
    if (asleep_elsewhere_ == 0) return 0;
    --asleep_elsewhere_;
    return 1;
  }

  // A sleep ends by a release, as a kick would end it.
  void OnWait(uint32_t* word, uint32_t expected, const lockhost_waiting& waiting) {
    ++sleeps_;
    EXPECT_EQ(*word, expected);
    word_while_asleep_ = *word;
    last_waiting_ = waiting;
    now_ns_ += 3'000'000;
    if (on_wait_) {
      on_wait_();
    } else {
      *word = 0;
    }
  }

  void HeldBy(uint32_t vcpu) { word_ = HolderTag(vcpu); }
  void SetState(uint32_t vcpu, uint32_t state) {
    page_.slots[vcpu].state_word = lockhost_state_word(state, 1);
  }
  uint64_t ReportWord() const { return reports_.slots[kMe].report_word; }

  lockhost_env env_ = {};
  lockhost_thread thread_ = {.slot = 6, .reports = 0};
  uint32_t word_ = 0;
  uint64_t now_ns_ = 1;
  uint64_t pause_ns_ = 1'000;
  int pauses_ = 0, sleeps_ = 0, kicks_ = 0, rings_ = 0;
  int woken_by_kick_ = 1;     // what `wait` answers
  int asleep_elsewhere_ = 0;  // how many the next kicks find
  uint64_t last_timeout_ns_ = 0;
  uint32_t word_while_asleep_ = 0;
  lockhost_waiting last_waiting_ = {};
  std::function<void()> on_pause_, on_wait_, on_kick_;
  struct {
    lockhost_hint_header header = {};
    lockhost_hint_slot slots[kSlots] = {};
  } page_;
  struct {
    lockhost_report_header header = {};
    lockhost_report_slot slots[kSlots] = {};
  } reports_;
};

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
    EXPECT_LE(pauses_, free_after + free_after / 4 + 1);
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
    thread_.reports = 1;
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
  thread_.reports = 1;
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

TEST_F(SpinCoreTest, HolderOnMyOwnVcpuDoesNotRun) {
  HeldBy(kMe);
  SetState(kMe, LOCKHOST_RUN_STATE_RUNNING);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
}

TEST_F(SpinCoreTest, ReportsWhatItHolds) {
  uint32_t inner = 0;
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(ReportWord() & LOCKHOST_REPORT_HOLDER_MASK, thread_.slot + 1);
  lockhost_core_lock(&env_, &inner);
  lockhost_core_unlock(&env_, &inner);
  EXPECT_EQ(ReportWord() & LOCKHOST_REPORT_HOLDER_MASK, thread_.slot + 1) << "one is still held";
  lockhost_core_unlock(&env_, &word_);
  EXPECT_EQ(ReportWord() & LOCKHOST_REPORT_HOLDER_MASK, 0u);
  EXPECT_EQ(ReportWord() >> LOCKHOST_REPORT_COUNT_SHIFT, 4u) << "every store changes the word";
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
