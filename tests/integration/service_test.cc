// SPDX-License-Identifier: Apache-2.0
//
// lockhostd as a client of any kind sees it: statuses, limits, the admin socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "lockhost/v1/hints.grpc.pb.h"
#include "lockhost/v1/host.grpc.pb.h"
#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

using testing::HasSubstr;

constexpr auto kDeadline = std::chrono::seconds(20);

void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + kDeadline);
}

v1::WatchHintsRequest GoodRequest() {
  v1::WatchHintsRequest request;
  request.set_protocol_version(1);
  return request;
}

class ServiceTest : public testing::Test {
 protected:
  explicit ServiceTest(uint32_t max_streams = 8)
      : host_(max_streams),
        channel_(host_.Connect(host_.VmSocket())),
        hints_(v1::HintService::NewStub(channel_)),
        operator_(v1::HostService::NewStub(host_.Connect(host_.AdminSocket()))) {}

  uint64_t Generation() {
    grpc::ClientContext context;
    SetDeadline(&context);
    const auto stream = hints_->WatchHints(&context, GoodRequest());
    v1::WatchHintsResponse message;
    EXPECT_TRUE(stream->Read(&message));
    context.TryCancel();
    return message.snapshot().generation();
  }

  // Sends one report; closes the stream if it was taken.
  grpc::Status Report(const v1::ReportHoldersRequest& request,
                      v1::ReportHoldersResponse* response) {
    grpc::ClientContext context;
    SetDeadline(&context);
    const auto stream = hints_->ReportHolders(&context, response);
    stream->Write(request);
    stream->WritesDone();
    return stream->Finish();
  }

  server::VmCounters& counters() {
    return host_.server().directory().Find(TestHost::kVm)->counters();
  }

  TestHost host_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::HintService::Stub> hints_;
  std::unique_ptr<v1::HostService::Stub> operator_;
};

TEST_F(ServiceTest, TheFirstMessageIsASnapshotThenHeartbeats) {
  grpc::ClientContext context;
  SetDeadline(&context);
  const auto stream = hints_->WatchHints(&context, GoodRequest());
  v1::WatchHintsResponse message;
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.snapshot().reason(), v1::SNAPSHOT_REASON_OPENED);
  EXPECT_EQ(message.snapshot().vcpus_size(), 2);
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_TRUE(message.has_heartbeat());
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServiceTest, ABadWatchRequestIsNamed) {
  v1::WatchHintsRequest request = GoodRequest();
  request.set_agent_version(std::string(65, 'x'));
  grpc::ClientContext context;
  SetDeadline(&context);
  const auto stream = hints_->WatchHints(&context, request);
  v1::WatchHintsResponse message;
  EXPECT_FALSE(stream->Read(&message));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("agent_version"));
  EXPECT_EQ(counters().streams_refused, 1u);
}

TEST_F(ServiceTest, GoodReportsAreAcceptedAndOldOnesDoNothing) {
  v1::ReportHoldersRequest request;
  request.set_generation(Generation());
  request.add_holders()->set_vcpu_id(1);
  v1::ReportHoldersResponse response;
  EXPECT_TRUE(Report(request, &response).ok());
  EXPECT_EQ(response.accepted(), 1u);
  EXPECT_EQ(response.outdated(), 0u);
  request.set_generation(request.generation() + 1);
  EXPECT_TRUE(Report(request, &response).ok());
  EXPECT_EQ(response.accepted(), 0u);
  EXPECT_EQ(response.outdated(), 1u);
}

TEST_F(ServiceTest, ABadReportEndsTheStreamAndIsNamed) {
  v1::ReportHoldersRequest request;
  request.add_holders()->set_vcpu_id(LOCKHOST_MAX_SLOTS);
  v1::ReportHoldersResponse response;
  grpc::Status status = Report(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("holders.vcpu_id"));
  request.Clear();
  request.mutable_demand()->set_ttl_ns(UINT64_MAX);
  status = Report(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("demand.ttl_ns"));
  EXPECT_EQ(counters().reports_invalid, 2u);
}

TEST_F(ServiceTest, ReportsThatComeTooFastEndTheStream) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ReportHoldersResponse response;
  const auto stream = hints_->ReportHolders(&context, &response);
  v1::ReportHoldersRequest request;
  int sent = 0;
  while (sent < 100'000 && stream->Write(request)) ++sent;
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_EQ(counters().reports_too_fast, 1u);
}

TEST_F(ServiceTest, AMessageThatIsTooLargeIsRefused) {
  v1::ReportHoldersRequest request;
  for (int i = 0; i < 100'000; ++i) request.add_holders()->set_vcpu_id(1);
  v1::ReportHoldersResponse response;
  EXPECT_EQ(Report(request, &response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ServiceTest, AnUnknownMethodIsUnimplemented) {
  const auto host_service = v1::HostService::NewStub(channel_);  // on the VM's socket
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ListVmsResponse response;
  EXPECT_EQ(host_service->ListVms(&context, {}, &response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ServiceTest, TheOperatorSeesTheVm) {
  grpc::ClientContext context;
  SetDeadline(&context);
  v1::ListVmsResponse response;
  const grpc::Status status = operator_->ListVms(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.vms_size(), 1);
  EXPECT_EQ(response.vms(0).vm_id(), TestHost::kVm);
  EXPECT_EQ(response.vms(0).socket_path(), host_.VmSocket());
  EXPECT_EQ(response.source(), "procfs");
}

TEST_F(ServiceTest, TheOperatorWatchesAVm) {
  v1::WatchVmRequest request;
  request.set_vm_id(TestHost::kVm);
  request.set_interval_ns(100'000'000);
  grpc::ClientContext context;
  SetDeadline(&context);
  const auto stream = operator_->WatchVm(&context, request);
  v1::WatchVmResponse message;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(stream->Read(&message));
    EXPECT_EQ(message.vcpus_size(), 2);
  }
  host_.agent().RemoveVm(TestHost::kVm);
  while (stream->Read(&message)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServiceTest, TheOperatorsMistakesAreNamed) {
  v1::WatchVmRequest request;
  request.set_vm_id(TestHost::kVm);
  request.set_interval_ns(1);
  v1::WatchVmResponse message;
  {
    grpc::ClientContext context;
    SetDeadline(&context);
    const auto stream = operator_->WatchVm(&context, request);
    EXPECT_FALSE(stream->Read(&message));
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr("interval_ns"));
  }
  request.set_interval_ns(0);
  request.set_vm_id(12345);
  grpc::ClientContext context;
  SetDeadline(&context);
  const auto stream = operator_->WatchVm(&context, request);
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServiceTest, ASleepingWatchDoesNotHoldUpTheEnd) {
  v1::WatchVmRequest request;
  request.set_vm_id(TestHost::kVm);
  request.set_interval_ns(60'000'000'000);
  grpc::ClientContext context;
  SetDeadline(&context);
  const auto stream = operator_->WatchVm(&context, request);
  v1::WatchVmResponse message;
  ASSERT_TRUE(stream->Read(&message));
  const auto begun = std::chrono::steady_clock::now();
  host_.StopServer();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(15));
  EXPECT_FALSE(stream->Read(&message));
}

TEST_F(ServiceTest, AGuestThatDoesNotReadGetsTheLatestInTheEnd) {
  grpc::ClientContext context;
  SetDeadline(&context);
  const auto stream = hints_->WatchHints(&context, GoodRequest());
  v1::WatchHintsResponse message;
  ASSERT_TRUE(stream->Read(&message));
  v1::ReportHoldersRequest request;
  request.set_generation(message.snapshot().generation());
  request.mutable_demand()->set_ttl_ns(1'000'000'000);
  v1::ReportHoldersResponse response;
  ASSERT_TRUE(Report(request, &response).ok());
  for (int i = 0; i < 400; ++i) {
    host_.agent().SetState(TestHost::kVm, 0,
                           i % 2 ? LOCKHOST_RUN_STATE_RUNNING : LOCKHOST_RUN_STATE_PREEMPTED);
  }
  host_.agent().SetState(TestHost::kVm, 0, LOCKHOST_RUN_STATE_HALTED);
  ASSERT_TRUE(Report(request, &response).ok());
  uint64_t last_revision = 0;
  v1::RunState last = v1::RUN_STATE_UNSPECIFIED;
  while (last != v1::RUN_STATE_HALTED && stream->Read(&message)) {
    for (const v1::VcpuHint& vcpu : message.delta().vcpus()) {
      if (vcpu.vcpu_id() != 0) continue;
      EXPECT_GE(vcpu.revision(), last_revision);
      last_revision = vcpu.revision();
      last = vcpu.run_state();
    }
  }
  EXPECT_EQ(last, v1::RUN_STATE_HALTED);
  context.TryCancel();
}

class FewStreamsTest : public ServiceTest {
 protected:
  FewStreamsTest() : ServiceTest(2) {}
};

TEST_F(FewStreamsTest, TooManyStreamsAreRefusedAndRoomIsMadeWhenOneEnds) {
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::WatchHintsResponse>>> streams;
  v1::WatchHintsResponse message;
  for (int i = 0; i < 3; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    SetDeadline(contexts.back().get());
    streams.push_back(hints_->WatchHints(contexts.back().get(), GoodRequest()));
    EXPECT_EQ(streams.back()->Read(&message), i < 2);
  }
  EXPECT_EQ(streams[2]->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  contexts[0]->TryCancel();
  streams[0]->Finish();
  EXPECT_TRUE(Eventually([&] {
    grpc::ClientContext context;
    SetDeadline(&context);
    const auto stream = hints_->WatchHints(&context, GoodRequest());
    const bool open = stream->Read(&message);
    context.TryCancel();
    return open;
  }));
  contexts[1]->TryCancel();
}

}  // namespace
}  // namespace lockhost
