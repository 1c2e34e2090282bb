// SPDX-License-Identifier: Apache-2.0
//
// A guest is whoever its transport says, and nobody else: what it claims in messages, what
// lay at its descriptor before, and whose process id it has change nothing. CIDs are in
// vsock_test.cc, certificates in tls_test.cc.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <set>
#include <string>

#include "lockhost/v1/hints.grpc.pb.h"
#include "lockhost/v1/host.grpc.pb.h"
#include "tests/integration/support/lockhostd_process.h"
#include "tests/integration/support/raw_http2.h"
#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

constexpr uint64_t kOther = 8;
constexpr auto kHalted = static_cast<uint32_t>(LOCKHOST_RUN_STATE_HALTED);
constexpr auto kPreempted = static_cast<uint32_t>(LOCKHOST_RUN_STATE_PREEMPTED);

// VM 7 with vCPUs 0 and 1, VM 8 with vCPU 5.
class IdentityTest : public testing::Test {
 protected:
  IdentityTest() {
    host_.agent().AddVm(kOther, 4);
    host_.agent().SetState(kOther, 5, LOCKHOST_RUN_STATE_HALTED);
    EXPECT_TRUE(Eventually([this] { return host_.Serves(kOther); }));
  }

  // Says in every way there is that it is VM 8.
  static void Forge(grpc::ClientContext* context, google::protobuf::Message* message) {
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context->set_authority("8.sock");
    context->AddMetadata("vm-id", "8");
    constexpr int kNoFieldOfOurs = 1000;
    for (int number = 1; number <= 16; ++number) {
      if (message->GetDescriptor()->FindFieldByNumber(number) != nullptr) continue;
      message->GetReflection()->MutableUnknownFields(message)->AddVarint(number, kOther);
    }
    message->GetReflection()->MutableUnknownFields(message)->AddVarint(kNoFieldOfOurs, kOther);
  }

  v1::Snapshot SnapshotFrom(const std::string& socket, bool forged) {
    const auto stub = v1::HintService::NewStub(host_.Connect(socket));
    grpc::ClientContext context;
    v1::WatchHintsRequest request;
    request.set_protocol_version(1);
    if (forged) Forge(&context, &request);
    const auto stream = stub->WatchHints(&context, request);
    v1::WatchHintsResponse message;
    EXPECT_TRUE(stream->Read(&message));
    context.TryCancel();
    return message.snapshot();
  }

  TestHost host_;
};

TEST_F(IdentityTest, AForgedWatchShowsItsOwnVmAlone) {
  const v1::Snapshot snapshot = SnapshotFrom(host_.VmSocket(), true);
  ASSERT_EQ(snapshot.vcpus_size(), 2);
  EXPECT_EQ(snapshot.vcpus(0).vcpu_id(), 0u);
  EXPECT_EQ(snapshot.vcpus(1).vcpu_id(), 1u);
  EXPECT_NE(snapshot.generation(), SnapshotFrom(host_.VmSocket(kOther), false).generation());
}

TEST_F(IdentityTest, AForgedReportIsItsOwnVmsDemandAndNoHolderOfAnyOther) {
  // Demand is of use to who listens.
  TestGuest listens(host_.VmSocket());
  TestGuest other_listens(host_.VmSocket(kOther));
  ASSERT_TRUE(Eventually([&] { return listens.HasLease() && other_listens.HasLease(); }));
  const auto stub = v1::HintService::NewStub(host_.Connect(host_.VmSocket()));
  grpc::ClientContext context;
  v1::ReportHoldersRequest request;
  Forge(&context, &request);
  // The other one's generation and vCPU, as a guest that has guessed them would send.
  request.set_generation(SnapshotFrom(host_.VmSocket(kOther), false).generation());
  request.mutable_demand()->set_ttl_ns(1'000'000'000);
  request.add_holders()->set_vcpu_id(5);
  v1::ReportHoldersResponse response;
  const auto stream = stub->ReportHolders(&context, &response);
  ASSERT_TRUE(stream->Write(request));
  EXPECT_TRUE(Eventually([&] { return host_.agent().HasDemand(TestHost::kVm); }));
  EXPECT_FALSE(host_.agent().HasDemand(kOther));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.accepted(), 0u);
  EXPECT_EQ(response.outdated(), 1u);
  EXPECT_EQ(host_.server().directory().Find(kOther)->counters().reports_accepted, 0u);
}

TEST_F(IdentityTest, AGuestCannotAskAsAnOperator) {
  const auto stub = v1::HostService::NewStub(host_.Connect(host_.VmSocket()));
  grpc::ClientContext context;
  v1::WatchVmRequest request;
  request.set_vm_id(kOther);
  const auto stream = stub->WatchVm(&context, request);
  v1::WatchVmResponse message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(IdentityTest, AVmWhosePidAndPlaceComeBackIsAnotherVm) {
  TestGuest before(host_.VmSocket());
  ASSERT_TRUE(Eventually([&] {
    before.Wait(0);
    return host_.agent().HasDemand(TestHost::kVm);
  }));
  RawConnection kept(host_.VmSocket());
  ASSERT_TRUE(kept.Send(ClientHello()));
  // All VMs of this agent are of this process; the table's place is the old one's too.
  constexpr uint64_t kNext = 9;
  host_.agent().RemoveVm(TestHost::kVm);
  host_.agent().AddVm(kNext, 3);
  host_.agent().SetState(kNext, 0, LOCKHOST_RUN_STATE_HALTED);
  ASSERT_TRUE(Eventually([&] { return host_.Serves(kNext); }));
  ASSERT_TRUE(Eventually([&] { return before.done(); }));
  EXPECT_TRUE(absl::IsNotFound(before.result())) << before.result();
  EXPECT_FALSE(before.HasLease());
  EXPECT_TRUE(Eventually([&] { return kept.Closed(); }));
  EXPECT_TRUE(Eventually([&] { return access(host_.VmSocket().c_str(), F_OK) != 0; }));
  EXPECT_FALSE(host_.agent().HasDemand(kNext));
  TestGuest after(host_.VmSocket(kNext));
  EXPECT_TRUE(Eventually([&] {
    after.Wait(0);
    return after.Hint(0) == kHalted;
  }));
}

std::set<int> FdsOf(pid_t pid) {
  std::set<int> fds;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    fds.insert(std::stoi(entry.path().filename()));
  }
  return fds;
}

// What it holds when nobody is served; it opens some of that after its sockets are there, or
// with its first guest.
std::set<int> SettledFdsOf(pid_t pid) {
  constexpr std::chrono::milliseconds kSettled{500};
  std::set<int> fds = FdsOf(pid);
  auto since = std::chrono::steady_clock::now();
  EXPECT_TRUE(Eventually([&] {
    if (std::set<int> now = FdsOf(pid); now != fds) {
      fds = std::move(now);
      since = std::chrono::steady_clock::now();
    }
    return std::chrono::steady_clock::now() - since > kSettled;
  }));
  return fds;
}

// gRPC knows a connection as "fd:N", and N is the next one's as soon as it is closed.
TEST(ReusedDescriptorsTest, AreTheNewVmsAlone) {
  agent::TempDir directory;
  TestAgent agent(directory.path() + "/agent.sock", 1);
  agent.AddVm(7, 3);
  agent.AddVm(8, 4);
  agent.SetState(7, 0, LOCKHOST_RUN_STATE_PREEMPTED);
  agent.SetState(8, 0, LOCKHOST_RUN_STATE_HALTED);
  LockhostdProcess lockhostd;
  lockhostd.Start({"--agent-socket=" + directory.path() + "/agent.sock",
                   "--run-dir=" + directory.path() + "/run",
                   "--metrics-address=", "--heartbeat=50ms"});
  const auto socket = [&](uint64_t vm_id) {
    return directory.path() + "/run/vm/" + std::to_string(vm_id) + ".sock";
  };
  ASSERT_TRUE(Eventually([&] { return access(socket(8).c_str(), F_OK) == 0; }));
  {
    TestGuest first(socket(7));
    ASSERT_TRUE(Eventually([&] { return first.HasLease(); }));
  }
  const std::set<int> idle = SettledFdsOf(lockhostd.pid());
  std::set<int> last;
  int reused = 0;
  for (int i = 0; i < 20; ++i) {
    const uint64_t vm_id = 7 + static_cast<uint64_t>(i % 2);
    {
      TestGuest guest(socket(vm_id));
      EXPECT_TRUE(Eventually([&] {
        guest.Wait(0);
        return guest.Hint(0) == (vm_id == 7 ? kPreempted : kHalted);
      })) << vm_id;
      const std::set<int> now = FdsOf(lockhostd.pid());
      if (now == last) ++reused;
      last = now;
    }
    ASSERT_TRUE(Eventually([&] { return FdsOf(lockhostd.pid()) == idle; }));
  }
  EXPECT_GE(reused, 15);
}

}  // namespace
}  // namespace lockhost
