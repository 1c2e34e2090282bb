// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/message_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/guest_agent/after_stream.h"

namespace lockhost::guest_agent {
namespace {

using testing::HasSubstr;

v1::WatchHintsResponse GoodSnapshot() {
  v1::WatchHintsResponse message;
  message.set_lease_ns(3'000'000'000);
  v1::Snapshot* snapshot = message.mutable_snapshot();
  snapshot->set_reason(v1::SNAPSHOT_REASON_OPENED);
  snapshot->set_generation(7);
  snapshot->set_slot_count(8);
  snapshot->set_mode(v1::MODE_OVERCOMMITTED);
  v1::VcpuHint* vcpu = snapshot->add_vcpus();
  vcpu->set_vcpu_id(7);
  vcpu->set_run_state(v1::RUN_STATE_RUNNING);
  vcpu->set_revision(1);
  return message;
}

v1::WatchHintsResponse GoodDelta() {
  v1::WatchHintsResponse message;
  message.set_lease_ns(1);
  message.mutable_delta()->set_mode(v1::MODE_DEDICATED);
  message.mutable_delta()->add_vcpus()->set_vcpu_id(7);
  return message;
}

void ExpectBad(const v1::WatchHintsResponse& message, uint32_t known_slots, const char* field) {
  const absl::Status status = CheckHostMessage(message, known_slots);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << field;
  EXPECT_THAT(std::string(status.message()), HasSubstr(field));
}

TEST(MessageCheckTest, GoodMessagesPass) {
  EXPECT_TRUE(CheckHostMessage(GoodSnapshot(), 0).ok());
  EXPECT_TRUE(CheckHostMessage(GoodDelta(), 8).ok());
  v1::WatchHintsResponse heartbeat;
  heartbeat.set_lease_ns(kMaxLeaseNs);
  heartbeat.mutable_heartbeat();
  EXPECT_TRUE(CheckHostMessage(heartbeat, 8).ok());
}

TEST(MessageCheckTest, AMessageOfANewerKindPasses) {
  v1::WatchHintsResponse message;
  message.set_lease_ns(1);
  EXPECT_TRUE(CheckHostMessage(message, 8).ok());
}

TEST(MessageCheckTest, TheFirstMessageIsASnapshot) { ExpectBad(GoodDelta(), 0, "snapshot"); }

TEST(MessageCheckTest, LeaseIsBounded) {
  v1::WatchHintsResponse message = GoodSnapshot();
  message.set_lease_ns(0);
  ExpectBad(message, 0, "lease_ns");
  message.set_lease_ns(kMaxLeaseNs + 1);
  ExpectBad(message, 0, "lease_ns");
}

TEST(MessageCheckTest, EverySnapshotFieldIsChecked) {
  v1::WatchHintsResponse message = GoodSnapshot();
  message.mutable_snapshot()->set_generation(0);
  ExpectBad(message, 0, "generation");
  message = GoodSnapshot();
  message.mutable_snapshot()->set_slot_count(0);
  ExpectBad(message, 0, "slot_count");
  message.mutable_snapshot()->set_slot_count(1025);
  ExpectBad(message, 0, "slot_count");
  message = GoodSnapshot();
  message.mutable_snapshot()->set_mode(static_cast<v1::Mode>(9));
  ExpectBad(message, 0, "mode");
  message = GoodSnapshot();
  message.mutable_snapshot()->set_sampled_every_ns(kMaxSampledEveryNs + 1);
  ExpectBad(message, 0, "sampled_every_ns");
  message = GoodSnapshot();
  message.mutable_snapshot()->set_reason(static_cast<v1::SnapshotReason>(99));
  ExpectBad(message, 0, "reason");
}

TEST(MessageCheckTest, EveryVcpuFieldIsChecked) {
  v1::WatchHintsResponse message = GoodSnapshot();
  message.mutable_snapshot()->mutable_vcpus(0)->set_vcpu_id(8);
  ExpectBad(message, 0, "vcpu_id");
  message = GoodDelta();
  message.mutable_delta()->mutable_vcpus(0)->set_run_state(static_cast<v1::RunState>(5));
  ExpectBad(message, 8, "run_state");
  message = GoodDelta();
  message.mutable_delta()->mutable_vcpus(0)->set_revision(uint64_t{1} << 56);
  ExpectBad(message, 8, "revision");
  message = GoodDelta();
  for (int i = 0; i < 8; ++i) message.mutable_delta()->add_vcpus();
  ExpectBad(message, 8, "count");
  message = GoodDelta();
  message.mutable_delta()->set_mode(static_cast<v1::Mode>(-1));
  ExpectBad(message, 8, "mode");
}

TEST(AfterStreamTest, OnlyAGoneVmAndABugStop) {
  using absl::StatusCode;
  EXPECT_EQ(DecideAfterStream(StatusCode::kNotFound), AfterStream::kStop);
  EXPECT_EQ(DecideAfterStream(StatusCode::kInvalidArgument), AfterStream::kStop);
  for (const StatusCode code :
       {StatusCode::kOk, StatusCode::kUnavailable, StatusCode::kResourceExhausted,
        StatusCode::kDataLoss, StatusCode::kUnimplemented, StatusCode::kCancelled}) {
    EXPECT_EQ(DecideAfterStream(code), AfterStream::kReconnect) << absl::StatusCodeToString(code);
  }
}

}  // namespace
}  // namespace lockhost::guest_agent
