// SPDX-License-Identifier: Apache-2.0
//
// How a waiter waits where the lock word names threads.
#include <gtest/gtest.h>

#include <array>

#include "tests/client/lock/spin_core_fixture.h"

namespace lockhost::lock {
namespace {

constexpr uint32_t kHoldersSlot = 5;  // no vCPU has such an id here
constexpr uint32_t kMyNumber = 3;

class SpinCoreThreadsTest : public SpinCoreTest {
 protected:
  SpinCoreThreadsTest() {
    page_.header.threads_valid_until_ns = UINT64_MAX;
    page_.header.threads_generation = 1;
    env_.threads = &threads_;
    thread_.number = kMyNumber;
    word_ = kHoldersSlot + 1;
  }
  void HolderIs(uint32_t state, uint32_t cpu) {
    thread_page_.slots[kHoldersSlot].state_word = lockhost_thread_word(state, cpu, ++revision_);
  }
  void ReleaseAfter(uint64_t ns) {
    on_pause_ = [this, ns] {
      if (now_ns_ > ns) word_ = 0;
    };
  }

  struct {
    lockhost_thread_header header = {};
    lockhost_thread_slot slots[8] = {};
  } thread_page_;
  const std::array<uint16_t, 4> vcpus_ = {3, 2, 1, 0};  // of CPUs
  lockhost_threads threads_ = {&page_.header, &thread_page_.header, 1, 8, vcpus_.data(), 4};
  uint64_t revision_ = 0;
};

TEST_F(SpinCoreThreadsTest, AThreadTakesTheLockInItsOwnName) {
  word_ = 0;
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(word_, kMyNumber);
  lockhost_core_unlock(&env_, &word_);
  thread_.number = 0;
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(word_, kUnknownHolder) << "without a slot it names nobody";
  lockhost_core_unlock(&env_, &word_);
  threads_.slot_count = 0;
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(word_, HolderTag(kMe)) << "and without a page its vCPU";
}

TEST_F(SpinCoreThreadsTest, ParksAtOnceWhenTheThreadIsDescheduledWhereverItsVcpuRuns) {
  for (const uint32_t state : {LOCKHOST_THREAD_STATE_PREEMPTED, LOCKHOST_THREAD_STATE_ASLEEP}) {
    word_ = kHoldersSlot + 1;
    pauses_ = sleeps_ = 0;
    SetState(1, LOCKHOST_RUN_STATE_RUNNING);
    HolderIs(state, 2);
    lockhost_core_lock(&env_, &word_);
    EXPECT_EQ(sleeps_, 1) << state;
    EXPECT_LE(pauses_, 10) << state;
    EXPECT_EQ(last_waiting_.awaited_vcpu, 1u) << "by the CPU it last ran on";
    EXPECT_EQ(reports_.slots[1].awaited, 1u);
  }
}

TEST_F(SpinCoreThreadsTest, AMutexSpinsTooWhileItsHolderIsSeenToRun) {
  HolderIs(LOCKHOST_THREAD_STATE_ON_CPU, 2);
  ReleaseAfter(2 * kBlindSpinNs);
  lockhost_core_mutex_lock_until(&env_, &word_, UINT64_MAX);
  EXPECT_EQ(sleeps_, 0);
}

TEST_F(SpinCoreThreadsTest, ParksWhenTheVcpuOfARunningThreadDoesNotRun) {
  HolderIs(LOCKHOST_THREAD_STATE_ON_CPU, 2);
  SetState(1, LOCKHOST_RUN_STATE_PREEMPTED);
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_LE(pauses_, 10);
  EXPECT_EQ(last_waiting_.believed_state, LOCKHOST_RUN_STATE_PREEMPTED);
}

TEST_F(SpinCoreThreadsTest, AThreadThatIsSaidToRunOnMyCpuDoesNot) {
  HolderIs(LOCKHOST_THREAD_STATE_ON_CPU, 3);  // kMe
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_LE(pauses_, 10);
}

TEST_F(SpinCoreThreadsTest, WhenTheLeaseHasRunOutNothingIsKnown) {
  HolderIs(LOCKHOST_THREAD_STATE_ASLEEP, 2);
  page_.header.threads_valid_until_ns = 1;
  lockhost_core_lock(&env_, &word_);
  EXPECT_EQ(sleeps_, 1);
  EXPECT_GE(pauses_, static_cast<int>(kBlindSpinNs / 1'000));
}

TEST_F(SpinCoreThreadsTest, ANameThatIsNobodysIsNotKnown) {
  for (const uint32_t tag : {9u, 1'025u, 0x7ffeu, kUnknownHolder}) {
    word_ = tag;
    pauses_ = sleeps_ = 0;
    lockhost_core_lock(&env_, &word_);
    EXPECT_EQ(sleeps_, 1) << tag;
    EXPECT_GE(pauses_, static_cast<int>(kBlindSpinNs / 1'000)) << tag;
  }
}

}  // namespace
}  // namespace lockhost::lock
