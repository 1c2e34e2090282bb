// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/hint_receiver.h"

#include <gtest/gtest.h>

#include "tests/client/guest_agent/page_file.h"

namespace lockhost::guest_agent {
namespace {

uint64_t fake_now_ns = 0;
Clock FakeClock() {
  return {[] { return fake_now_ns; }};
}

constexpr uint64_t kLease = 3'000;

class HintReceiverTest : public testing::Test {
 protected:
  HintReceiverTest() { fake_now_ns = 1'000; }

  HintReceiver MakeReceiver(HintReceiver::Options options = {}) {
    return HintReceiver(&writer_, &stats_, FakeClock(), options);
  }

  static v1::VcpuHint Vcpu(uint32_t id, v1::RunState state, uint64_t revision) {
    v1::VcpuHint vcpu;
    vcpu.set_vcpu_id(id);
    vcpu.set_run_state(state);
    vcpu.set_revision(revision);
    vcpu.set_report_word(77);
    return vcpu;
  }
  static v1::WatchHintsResponse Snapshot(uint64_t generation, std::vector<v1::VcpuHint> vcpus) {
    v1::WatchHintsResponse message;
    message.set_lease_ns(kLease);
    message.mutable_snapshot()->set_reason(v1::SNAPSHOT_REASON_OPENED);
    message.mutable_snapshot()->set_generation(generation);
    message.mutable_snapshot()->set_slot_count(16);
    for (const v1::VcpuHint& vcpu : vcpus) *message.mutable_snapshot()->add_vcpus() = vcpu;
    return message;
  }
  static v1::WatchHintsResponse Delta(std::vector<v1::VcpuHint> vcpus) {
    v1::WatchHintsResponse message;
    message.set_lease_ns(kLease);
    message.mutable_delta();
    for (const v1::VcpuHint& vcpu : vcpus) *message.mutable_delta()->add_vcpus() = vcpu;
    return message;
  }
  static v1::WatchHintsResponse Heartbeat() {
    v1::WatchHintsResponse message;
    message.set_lease_ns(kLease);
    message.mutable_heartbeat();
    return message;
  }
  uint32_t Hint(uint32_t vcpu_id) { return ReadHint(page_, vcpu_id, fake_now_ns); }

  TestDirectory directory_;
  HintPageWriter writer_ =
      *HintPageWriter::Open(directory_.File("hints"), 4, LOCKHOST_PAGE_PATH_GRPC);
  HintView page_{directory_.File("hints")};
  Stats stats_;
};

TEST_F(HintReceiverTest, UnderDemandSnapshotAndDeltasReachThePage) {
  HintReceiver receiver = MakeReceiver();
  receiver.SetDemand(true);
  ASSERT_TRUE(receiver.Apply(Snapshot(5, {Vcpu(0, v1::RUN_STATE_RUNNING, 1)})).ok());
  EXPECT_EQ(page_->generation, 5u);
  EXPECT_EQ(Hint(0), static_cast<uint32_t>(LOCKHOST_RUN_STATE_RUNNING));
  fake_now_ns = 2'000;
  ASSERT_TRUE(receiver.Apply(Delta({Vcpu(0, v1::RUN_STATE_PREEMPTED, 2)})).ok());
  EXPECT_EQ(Hint(0), static_cast<uint32_t>(LOCKHOST_RUN_STATE_PREEMPTED));
  EXPECT_EQ(lockhost_hint_slot_at(page_.get(), 0)->since_ns, 2'000u);
  EXPECT_EQ(lockhost_hint_slot_at(page_.get(), 0)->witness, 77u);
  EXPECT_EQ(receiver.revision(0), 2u);
  EXPECT_EQ(receiver.generation(), 5u);
  EXPECT_EQ(stats_.deltas, 1u);
  EXPECT_EQ(stats_.hints, 2u);
}

TEST_F(HintReceiverTest, EachMessageRenewsTheLeaseFromItsReception) {
  HintReceiver receiver = MakeReceiver();
  ASSERT_TRUE(receiver.Apply(Snapshot(5, {})).ok());
  EXPECT_EQ(page_->valid_until_ns, 1'000 + kLease);
  fake_now_ns = 2'500;
  ASSERT_TRUE(receiver.Apply(Heartbeat()).ok());
  EXPECT_EQ(page_->valid_until_ns, 2'500 + kLease);
  EXPECT_EQ(stats_.heartbeats, 1u);
}

TEST_F(HintReceiverTest, AHostThatHangsIsBelievedForOneLease) {
  HintReceiver receiver = MakeReceiver();
  receiver.SetDemand(true);
  ASSERT_TRUE(receiver.Apply(Snapshot(5, {Vcpu(1, v1::RUN_STATE_RUNNING, 1)})).ok());
  fake_now_ns += kLease - 1;
  EXPECT_EQ(Hint(1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_RUNNING));
  fake_now_ns += 1;
  EXPECT_EQ(Hint(1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED));
}

TEST_F(HintReceiverTest, ALongLeaseIsCut) {
  HintReceiver receiver = MakeReceiver({.longest_lease_ns = 100});
  ASSERT_TRUE(receiver.Apply(Snapshot(5, {})).ok());
  EXPECT_EQ(page_->valid_until_ns, 1'100u);
}

TEST_F(HintReceiverTest, WithoutDemandTheSlotsSayNothing) {
  HintReceiver receiver = MakeReceiver();
  ASSERT_TRUE(receiver.Apply(Snapshot(5, {Vcpu(0, v1::RUN_STATE_RUNNING, 1)})).ok());
  ASSERT_TRUE(receiver.Apply(Delta({Vcpu(1, v1::RUN_STATE_RUNNING, 1)})).ok());
  EXPECT_EQ(Hint(0), static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED));
  EXPECT_EQ(Hint(1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED));
  receiver.SetDemand(true);
  ASSERT_TRUE(receiver.Apply(Delta({Vcpu(1, v1::RUN_STATE_RUNNING, 1)})).ok());
  EXPECT_EQ(Hint(1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_RUNNING));
  receiver.SetDemand(false);
  EXPECT_EQ(Hint(1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED));
  EXPECT_GT(page_->valid_until_ns, fake_now_ns);  // the lease is another matter
}

TEST_F(HintReceiverTest, WhatAHostThatOnlyLooksSaysIsShortLived) {
  HintReceiver receiver = MakeReceiver();
  receiver.SetDemand(true);
  v1::WatchHintsResponse message = Snapshot(5, {Vcpu(0, v1::RUN_STATE_PREEMPTED, 1)});
  message.mutable_snapshot()->set_sampled_every_ns(100);
  ASSERT_TRUE(receiver.Apply(message).ok());
  fake_now_ns += 200;
  EXPECT_EQ(Hint(0), LOCKHOST_RUN_STATE_PREEMPTED);
  fake_now_ns += 1;
  EXPECT_EQ(Hint(0), LOCKHOST_RUN_STATE_UNSPECIFIED);
  // Another host, or its agent with another source.
  ASSERT_TRUE(receiver.Apply(Snapshot(6, {Vcpu(0, v1::RUN_STATE_PREEMPTED, 1)})).ok());
  fake_now_ns += 201;
  EXPECT_EQ(Hint(0), LOCKHOST_RUN_STATE_PREEMPTED);
}

TEST_F(HintReceiverTest, ALostStreamVoidsThePageAndNeedsASnapshotNext) {
  HintReceiver receiver = MakeReceiver();
  ASSERT_TRUE(receiver.Apply(Snapshot(5, {})).ok());
  receiver.StreamLost();
  EXPECT_EQ(page_->valid_until_ns, 0u);
  EXPECT_EQ(receiver.generation(), 0u);
  EXPECT_FALSE(receiver.Apply(Heartbeat()).ok());
  ASSERT_TRUE(receiver.Apply(Snapshot(6, {})).ok());
  EXPECT_EQ(stats_.connects, 2u);
}

TEST_F(HintReceiverTest, ANewGenerationForgetsTheOld) {
  HintReceiver receiver = MakeReceiver();
  receiver.SetDemand(true);
  ASSERT_TRUE(receiver.Apply(Snapshot(5, {Vcpu(2, v1::RUN_STATE_RUNNING, 9)})).ok());
  v1::WatchHintsResponse next = Snapshot(6, {Vcpu(1, v1::RUN_STATE_HALTED, 1)});
  next.mutable_snapshot()->set_reason(v1::SNAPSHOT_REASON_NEW_GENERATION);
  ASSERT_TRUE(receiver.Apply(next).ok());
  EXPECT_EQ(page_->generation, 6u);
  EXPECT_EQ(Hint(2), static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED));
  EXPECT_EQ(lockhost_state_of(lockhost_hint_slot_at(page_.get(), 1)->state_word),
            static_cast<uint32_t>(LOCKHOST_RUN_STATE_HALTED));
  EXPECT_EQ(receiver.revision(2), 0u);
}

TEST_F(HintReceiverTest, ABadMessageIsCountedAndVoidsThePage) {
  HintReceiver receiver = MakeReceiver();
  ASSERT_TRUE(receiver.Apply(Snapshot(5, {})).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(receiver.Apply(Delta({Vcpu(16, v1::RUN_STATE_RUNNING, 1)}))));
  EXPECT_EQ(page_->valid_until_ns, 0u);
  EXPECT_EQ(stats_.bad_messages, 1u);
}

TEST_F(HintReceiverTest, VcpusWithoutASlotAreCountedAndLeftOut) {
  HintReceiver receiver = MakeReceiver();
  receiver.SetDemand(true);
  ASSERT_TRUE(receiver
                  .Apply(Snapshot(
                      5, {Vcpu(10, v1::RUN_STATE_RUNNING, 1), Vcpu(3, v1::RUN_STATE_RUNNING, 1)}))
                  .ok());
  EXPECT_EQ(stats_.dropped_vcpus, 1u);
  EXPECT_EQ(Hint(3), static_cast<uint32_t>(LOCKHOST_RUN_STATE_RUNNING));
}

TEST_F(HintReceiverTest, ResyncsAreCounted) {
  HintReceiver receiver = MakeReceiver();
  v1::WatchHintsResponse message = Snapshot(5, {});
  ASSERT_TRUE(receiver.Apply(message).ok());
  message.mutable_snapshot()->set_reason(v1::SNAPSHOT_REASON_RESYNC);
  ASSERT_TRUE(receiver.Apply(message).ok());
  EXPECT_EQ(stats_.resyncs, 1u);
  EXPECT_EQ(stats_.snapshots, 2u);
}

TEST_F(HintReceiverTest, WithTheSlotsElsewhereOnlyHeaderAndLeaseAreWritten) {
  HintReceiver receiver = MakeReceiver({.slots_elsewhere = true});
  receiver.SetDemand(true);
  ASSERT_TRUE(receiver.Apply(Snapshot(5, {Vcpu(0, v1::RUN_STATE_RUNNING, 1)})).ok());
  EXPECT_EQ(page_->generation, 5u);
  EXPECT_EQ(page_->valid_until_ns, 1'000 + kLease);
  EXPECT_EQ(lockhost_hint_slot_at(page_.get(), 0)->state_word, 0u);
}

TEST(StatsTest, AreOneLineOfJson) {
  Stats stats;
  stats.deltas = 12;
  const std::string json = stats.ToJson();
  EXPECT_EQ(json.front(), '{');
  EXPECT_EQ(json.back(), '}');
  EXPECT_NE(json.find("\"deltas\":12"), std::string::npos);
  EXPECT_EQ(json.find('\n'), std::string::npos);
}

TEST_F(HintReceiverTest, AHostOfAnEarlierVersionIsUnderstood) {
  HintReceiver receiver = MakeReceiver();
  receiver.SetDemand(true);
  // Nothing but what the first host said: no capabilities, no version, no counters.
  v1::WatchHintsResponse snapshot = Snapshot(5, {});
  snapshot.mutable_snapshot()->add_vcpus()->set_run_state(v1::RUN_STATE_PREEMPTED);
  ASSERT_TRUE(receiver.Apply(snapshot).ok());
  EXPECT_EQ(Hint(0), static_cast<uint32_t>(LOCKHOST_RUN_STATE_PREEMPTED));
}

TEST_F(HintReceiverTest, AHostOfALaterVersionIsUnderstood) {
  constexpr int kFieldOfTheFuture = 1000;
  HintReceiver receiver = MakeReceiver();
  receiver.SetDemand(true);
  v1::WatchHintsResponse snapshot = Snapshot(5, {Vcpu(0, v1::RUN_STATE_RUNNING, 1)});
  snapshot.mutable_snapshot()->set_protocol_version(7);
  snapshot.mutable_snapshot()->add_capabilities(static_cast<v1::Capability>(900));
  for (google::protobuf::Message* part : std::initializer_list<google::protobuf::Message*>{
           &snapshot, snapshot.mutable_snapshot(), snapshot.mutable_snapshot()->mutable_vcpus(0)}) {
    part->GetReflection()->MutableUnknownFields(part)->AddVarint(kFieldOfTheFuture, 5);
  }
  v1::WatchHintsResponse arrived;
  ASSERT_TRUE(arrived.ParseFromString(snapshot.SerializeAsString()));
  ASSERT_TRUE(receiver.Apply(arrived).ok());
  EXPECT_EQ(Hint(0), static_cast<uint32_t>(LOCKHOST_RUN_STATE_RUNNING));
}

}  // namespace
}  // namespace lockhost::guest_agent
