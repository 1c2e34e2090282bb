// SPDX-License-Identifier: Apache-2.0
//
// Native operations: when they are used, and what waiters do meanwhile.
#include <gtest/gtest.h>

#include "tests/client/lock/spin_core_fixture.h"

namespace lockhost::lock {
namespace {

class SpinCoreNativeTest : public SpinCoreTest {
 protected:
  SpinCoreNativeTest() { env_.operations = &operations_; }
};

TEST_F(SpinCoreNativeTest, FollowsThePageFromTheNextLookOn) {
  page_.header.mode = LOCKHOST_MODE_DEDICATED;
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  lockhost_core_lock(&env_, &word_);
  EXPECT_FALSE(IsHeldNatively(word_)) << "who waited takes it by paravirtual operations";
  lockhost_core_unlock(&env_, &word_);
  word_ = 0;
  lockhost_core_lock(&env_, &word_);
  EXPECT_TRUE(IsHeldNatively(word_));
  EXPECT_EQ(ReportWord() & LOCKHOST_REPORT_HOLDER_MASK, 0u) << "nobody is preempted, nobody asks";
  lockhost_core_unlock(&env_, &word_);
  EXPECT_EQ(word_, 0u);

  page_.header.mode = LOCKHOST_MODE_OVERCOMMITTED;
  HeldBy(kHolder);
  lockhost_core_lock(&env_, &word_);
  lockhost_core_unlock(&env_, &word_);
  word_ = 0;
  lockhost_core_lock(&env_, &word_);
  EXPECT_FALSE(IsHeldNatively(word_));
}

TEST_F(SpinCoreNativeTest, ALeaseThatRunsOutEndsIt) {
  page_.header.mode = LOCKHOST_MODE_DEDICATED;
  EXPECT_TRUE(FollowMode(env_, now_ns_));
  page_.header.valid_until_ns = now_ns_;
  EXPECT_FALSE(FollowMode(env_, now_ns_));
}

TEST_F(SpinCoreNativeTest, ANestedLockIsTakenByParavirtualOperations) {
  operations_.native = 1;
  uint32_t inner = 0;
  lockhost_core_lock(&env_, &word_);
  lockhost_core_lock(&env_, &inner);
  EXPECT_TRUE(IsHeldNatively(word_));
  EXPECT_FALSE(IsHeldNatively(inner));
  lockhost_core_unlock(&env_, &word_);
  lockhost_core_unlock(&env_, &inner);
  EXPECT_EQ(word_ | inner, 0u);
}

// A plain store would wipe out what a waiter wrote.
TEST_F(SpinCoreNativeTest, UnderANativeHolderAWaiterNapsAndLeavesTheWordAlone) {
  page_.header.mode = LOCKHOST_MODE_DEDICATED;
  word_ = kNativeHolder;
  woken_by_kick_ = 0;
  on_wait_ = [this] {
    EXPECT_EQ(word_while_asleep_, kNativeHolder);
    EXPECT_NE(last_timeout_ns_, UINT64_MAX);
    if (sleeps_ == 3) word_ = 0;
  };
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 3);
  EXPECT_EQ(kicks_, 0);
  EXPECT_FALSE(FollowMode(env_, now_ns_)) << "threads lose their CPUs: paravirtual for a while";
  EXPECT_TRUE(FollowMode(env_, now_ns_ + kNativeAgainAfterNs));
}

TEST_F(SpinCoreNativeTest, AForcedModeStaysThoughWaitersNap) {
  operations_.setting = static_cast<uint32_t>(ModeSetting::kNative);
  operations_.napped_at_ns = now_ns_;
  EXPECT_TRUE(FollowMode(env_, now_ns_ + 1));
  operations_.setting = static_cast<uint32_t>(ModeSetting::kParavirtual);
  page_.header.mode = LOCKHOST_MODE_DEDICATED;
  EXPECT_FALSE(FollowMode(env_, now_ns_ + 1));
}

TEST_F(SpinCoreNativeTest, SleepersKnownOfKeepTheirLockParavirtual) {
  operations_.native = 1;
  word_ = kHeir;
  EXPECT_EQ(lockhost_core_trylock(&env_, &word_), 1);
  EXPECT_EQ(word_, HolderTag(kMe) | kHeir);
}

// The kick that woke it was meant for whoever frees the lock to others.
TEST_F(SpinCoreNativeTest, WhoGivesUpUnderANativeHolderAfterASleepKicksTheNext) {
  HeldBy(kHolder);
  SetState(kHolder, LOCKHOST_RUN_STATE_PREEMPTED);
  on_wait_ = [this] { word_ = kNativeHolder; };
  EXPECT_EQ(lockhost_core_lock_until(&env_, &word_, 1'000'000), 0);
  EXPECT_EQ(kicks_, 1);
  EXPECT_EQ(word_, kNativeHolder);
}

}  // namespace
}  // namespace lockhost::lock
