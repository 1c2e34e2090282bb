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
            [](void* self, uint32_t* word, uint32_t expected, uint64_t,
               const lockhost_waiting* waiting) { World(self).OnWait(word, expected, *waiting); },
        .kick = [](void* self, uint32_t*) { ++World(self).kicks_; },
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
    now_ns_ += 1'000;
    last_waiting_ = waiting;
    if (on_pause_) on_pause_();
    if (pauses_ > 100'000) {
      ADD_FAILURE() << "waits for ever";
      word_ = 0;
    }
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
  lockhost_thread thread_ = {.slot = 6, .held = 0};
  uint32_t word_ = 0;
  uint64_t now_ns_ = 1;
  int pauses_ = 0, sleeps_ = 0, kicks_ = 0, rings_ = 0;
  uint32_t word_while_asleep_ = 0;
  lockhost_waiting last_waiting_ = {};
  std::function<void()> on_pause_, on_wait_;
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
  EXPECT_LT(pauses_, 10);
  EXPECT_EQ(word_while_asleep_, HolderTag(kHolder) | kSleepers);
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
  EXPECT_EQ(word_, HolderTag(kMe) | kSleepers);
  lockhost_core_unlock(&env_, &word_);
  EXPECT_EQ(word_, 0u);
  EXPECT_EQ(kicks_, 1);
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
  EXPECT_EQ(word_, 0u);
}

TEST_F(SpinCoreTest, HolderOnAnUnknownVcpuIsWaitedForWithoutHint) {
  HeldBy(LOCKHOST_UNKNOWN_VCPU);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_EQ(last_waiting_.awaited_vcpu, LOCKHOST_UNKNOWN_VCPU);
}

}  // namespace
}  // namespace lockhost::lock
