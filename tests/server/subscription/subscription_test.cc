// SPDX-License-Identifier: Apache-2.0
#include "server/subscription/subscription.h"

#include <gtest/gtest.h>

#include "tests/server/table_fixture.h"

namespace lockhost::server {
namespace {

using Message = Subscription::Message;

constexpr Subscription::Timing kTiming = {
    .lease_ns = 3000, .heartbeat_ns = 1000, .heartbeat_slack_ns = 100};

class SubscriptionTest : public testing::Test {
 protected:
  SubscriptionTest() {
    table_.Set(0, LOCKHOST_RUN_STATE_RUNNING);
    table_.Set(2, LOCKHOST_RUN_STATE_HALTED);
  }

  Message Next(bool demand, uint64_t now_ns) {
    return subscription_.Next({*table_.reader, generation_, 8}, demand, now_ns, &message_);
  }
  const v1::VcpuHint& DeltaVcpu(int index) { return message_.delta().vcpus(index); }

  TestTable table_;
  uint64_t generation_ = 5;
  Subscription subscription_{kTiming};
  v1::WatchHintsResponse message_;
};

TEST_F(SubscriptionTest, FirstComesASnapshotOfAllThatIsKnown) {
  ASSERT_EQ(Next(false, 10), Message::kSnapshot);
  const v1::Snapshot& snapshot = message_.snapshot();
  EXPECT_EQ(message_.lease_ns(), 3000u);
  EXPECT_EQ(snapshot.reason(), v1::SNAPSHOT_REASON_OPENED);
  EXPECT_EQ(snapshot.generation(), 5u);
  EXPECT_EQ(snapshot.slot_count(), table_.reader->slot_count());
  ASSERT_EQ(snapshot.vcpus_size(), 2);
  EXPECT_EQ(snapshot.vcpus(0).vcpu_id(), 0u);
  EXPECT_EQ(snapshot.vcpus(0).run_state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(snapshot.vcpus(0).age_ns(), 9u);
  EXPECT_EQ(snapshot.vcpus(1).vcpu_id(), 2u);
  EXPECT_EQ(snapshot.vcpus(1).run_state(), v1::RUN_STATE_HALTED);
}

TEST_F(SubscriptionTest, SnapshotSaysHowOftenTheHostLooks) {
  const TestTable sampled(1, 5000);
  ASSERT_EQ(Subscription(kTiming).Next({*sampled.reader, 5, 1}, false, 10, &message_),
            Message::kSnapshot);
  EXPECT_EQ(message_.snapshot().sampled_every_ns(), 5000u);
  ASSERT_EQ(Next(false, 10), Message::kSnapshot);
  EXPECT_EQ(message_.snapshot().sampled_every_ns(), 0u);
}

TEST_F(SubscriptionTest, UnderDemandADeltaTellsWhatChanged) {
  Next(true, 10);
  EXPECT_EQ(Next(true, 20), Message::kNone);
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED, 15);
  ASSERT_EQ(Next(true, 20), Message::kDelta);
  ASSERT_EQ(message_.delta().vcpus_size(), 1);
  EXPECT_EQ(DeltaVcpu(0).vcpu_id(), 0u);
  EXPECT_EQ(DeltaVcpu(0).run_state(), v1::RUN_STATE_PREEMPTED);
  EXPECT_EQ(DeltaVcpu(0).revision(), 2u);
  EXPECT_EQ(DeltaVcpu(0).age_ns(), 5u);
  EXPECT_EQ(Next(true, 20), Message::kNone);
}

TEST_F(SubscriptionTest, ASlowReaderGetsTheLatestStateAndNothingInBetween) {
  Next(true, 10);
  for (int i = 0; i < 1000; ++i) {
    table_.Set(0, i % 2 == 0 ? LOCKHOST_RUN_STATE_PREEMPTED : LOCKHOST_RUN_STATE_RUNNING);
  }
  ASSERT_EQ(Next(true, 20), Message::kDelta);
  ASSERT_EQ(message_.delta().vcpus_size(), 1);
  EXPECT_EQ(DeltaVcpu(0).run_state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(DeltaVcpu(0).revision(), 1001u);
  EXPECT_EQ(Next(true, 20), Message::kNone);
}

TEST_F(SubscriptionTest, WithoutDemandOnlyHeartbeats) {
  Next(false, 10);
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  EXPECT_EQ(Next(false, 500), Message::kNone);
  EXPECT_EQ(Next(false, 909), Message::kNone);
  EXPECT_EQ(Next(false, 910), Message::kHeartbeat);  // up to its slack early
  EXPECT_TRUE(message_.has_heartbeat());
  EXPECT_EQ(message_.lease_ns(), 3000u);
  EXPECT_EQ(subscription_.heartbeat_due_ns(), 1910u);
}

TEST_F(SubscriptionTest, WhenDemandBeginsEveryVcpuIsTold) {
  Next(false, 10);
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  subscription_.TellAll();
  EXPECT_EQ(Next(false, 20), Message::kNone);  // it waits for the demand
  ASSERT_EQ(Next(true, 20), Message::kDelta);
  EXPECT_EQ(message_.delta().vcpus_size(), 2);
  EXPECT_EQ(Next(true, 20), Message::kNone);
}

TEST_F(SubscriptionTest, TellAllAnswersEvenWhenThereIsNothingToTell) {
  TestTable empty;
  Subscription subscription(kTiming);
  subscription.Next({*empty.reader, 1, 0}, true, 10, &message_);
  subscription.TellAll();
  EXPECT_EQ(subscription.Next({*empty.reader, 1, 0}, true, 10, &message_), Message::kDelta);
}

TEST_F(SubscriptionTest, ANewGenerationIsASnapshot) {
  Next(true, 10);
  generation_ = 6;
  ASSERT_EQ(Next(true, 20), Message::kSnapshot);
  EXPECT_EQ(message_.snapshot().reason(), v1::SNAPSHOT_REASON_NEW_GENERATION);
  EXPECT_EQ(message_.snapshot().generation(), 6u);
  EXPECT_EQ(message_.snapshot().vcpus_size(), 2);
}

TEST_F(SubscriptionTest, ResyncsAreCountedAndReplaceWhatWasPending) {
  Next(true, 10);
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  subscription_.Resync();
  ASSERT_EQ(Next(true, 20), Message::kSnapshot);
  EXPECT_EQ(message_.snapshot().reason(), v1::SNAPSHOT_REASON_RESYNC);
  EXPECT_EQ(message_.snapshot().resyncs(), 1u);
  EXPECT_EQ(Next(true, 20), Message::kNone);
  subscription_.Resync();
  Next(true, 30);
  EXPECT_EQ(message_.snapshot().resyncs(), 2u);
}

TEST_F(SubscriptionTest, AChangeOfModeIsToldWithoutDemandToo) {
  Next(false, 10);
  table_.table->SetHeader(LOCKHOST_MODE_OVERCOMMITTED, 1);
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  ASSERT_EQ(Next(false, 20), Message::kDelta);
  EXPECT_EQ(message_.delta().mode(), v1::MODE_OVERCOMMITTED);
  EXPECT_EQ(message_.delta().vcpus_size(), 0);
}

TEST_F(SubscriptionTest, AClearedSlotIsToldAsNoHint) {
  Next(true, 10);
  table_.table->Clear(0);
  ASSERT_EQ(Next(true, 20), Message::kDelta);
  EXPECT_EQ(DeltaVcpu(0).run_state(), v1::RUN_STATE_UNSPECIFIED);
}

TEST_F(SubscriptionTest, VcpusBeyondTheEndAreNotLookedAt) {
  Next(true, 10);
  table_.Set(9, LOCKHOST_RUN_STATE_RUNNING);
  EXPECT_EQ(Next(true, 20), Message::kNone);  // the view ends at 8
  EXPECT_EQ(subscription_.Next({*table_.reader, generation_, 10}, true, 20, &message_),
            Message::kDelta);
}

}  // namespace
}  // namespace lockhost::server
