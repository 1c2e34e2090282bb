// SPDX-License-Identifier: Apache-2.0
//
// Guests that are older or newer than the host: what either side does not know is left out.
#include <gtest/gtest.h>

#include <algorithm>

#include "lockhost/v1/hints.grpc.pb.h"
#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

constexpr auto kDeadline = std::chrono::seconds(20);
constexpr int kFieldOfTheFuture = 1000;

template <typename Message>
void AddFieldOfTheFuture(Message* message) {
  Message::GetReflection()->MutableUnknownFields(message)->AddVarint(kFieldOfTheFuture, 5);
}

class VersionsTest : public testing::Test {
 protected:
  VersionsTest() : hints_(v1::HintService::NewStub(host_.Connect(host_.VmSocket()))) {
    for (grpc::ClientContext* context : {&watch_, &report_}) {
      context->set_deadline(std::chrono::system_clock::now() + kDeadline);
    }
  }
  ~VersionsTest() override { watch_.TryCancel(); }

  // What the first message says.
  v1::Snapshot Open(const v1::WatchHintsRequest& request) {
    stream_ = hints_->WatchHints(&watch_, request);
    v1::WatchHintsResponse message;
    EXPECT_TRUE(stream_->Read(&message)) << stream_->Finish().error_message();
    EXPECT_TRUE(message.has_snapshot());
    return message.snapshot();
  }

  // Demand, in this guest's words, is answered with the states of both vCPUs.
  void ExpectAnswered(const v1::ReportHoldersRequest& report) {
    v1::ReportHoldersResponse response;
    const auto reports = hints_->ReportHolders(&report_, &response);
    ASSERT_TRUE(reports->Write(report));
    v1::WatchHintsResponse message;
    do {
      ASSERT_TRUE(stream_->Read(&message));
    } while (!message.has_delta());
    EXPECT_EQ(message.delta().vcpus_size(), 2);
    reports->WritesDone();
    EXPECT_TRUE(reports->Finish().ok());
  }

  TestHost host_;
  std::unique_ptr<v1::HintService::Stub> hints_;
  grpc::ClientContext watch_, report_;
  std::unique_ptr<grpc::ClientReader<v1::WatchHintsResponse>> stream_;
};

TEST_F(VersionsTest, AGuestThatKnowsTheFirstVersionAloneIsServed) {
  v1::WatchHintsRequest request;
  request.set_protocol_version(1);
  const v1::Snapshot snapshot = Open(request);
  EXPECT_NE(snapshot.generation(), 0u);
  // It names nobody whom it waits for.
  v1::ReportHoldersRequest report;
  report.set_generation(snapshot.generation());
  report.mutable_demand()->set_ttl_ns(1'000'000'000);
  ExpectAnswered(report);
}

TEST_F(VersionsTest, AGuestOfALaterVersionIsServedWithWhatIsKnownHere) {
  v1::WatchHintsRequest request;
  request.set_protocol_version(7);
  request.add_capabilities(v1::CAPABILITY_AWAITED_VCPUS);
  request.add_capabilities(static_cast<v1::Capability>(900));
  AddFieldOfTheFuture(&request);
  const v1::Snapshot snapshot = Open(request);
  // The host says what it is, so that the guest keeps to that.
  EXPECT_EQ(snapshot.protocol_version(), 1u);
  EXPECT_EQ(std::count(snapshot.capabilities().begin(), snapshot.capabilities().end(), 900), 0);
  v1::ReportHoldersRequest report;
  report.set_generation(snapshot.generation());
  report.mutable_demand()->set_ttl_ns(1'000'000'000);
  AddFieldOfTheFuture(report.mutable_demand());
  AddFieldOfTheFuture(report.add_holders());
  AddFieldOfTheFuture(&report);
  ExpectAnswered(report);
}

}  // namespace
}  // namespace lockhost
