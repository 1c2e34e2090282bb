// SPDX-License-Identifier: Apache-2.0
//
// Rows of the failure table: who dies, and what the guest's page says then.
#include <gtest/gtest.h>

#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

constexpr auto kRunning = static_cast<uint32_t>(LOCKHOST_RUN_STATE_RUNNING);

TEST(FailuresTest, LockhostdRestartsAndTheGuestComesBackToANewGeneration) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  const uint64_t before = guest.generation();
  host.StopServer();
  EXPECT_TRUE(Eventually([&] { return !guest.HasLease(); }));
  host.StartServer();
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  EXPECT_NE(guest.generation(), before);
  EXPECT_EQ(guest.stats().connects, 2u);
  guest.Wait(0);  // reports find their way too
  EXPECT_TRUE(Eventually([&] {
    guest.Wait(0);
    return guest.Hint(0) == kRunning;
  }));
}

TEST(FailuresTest, DrainingTellsTheGuestAtOnce) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  host.StopServer();
  // The stream's end voids the page; nobody waits for the lease of 1.5 s to run out.
  EXPECT_TRUE(Eventually([&] { return !guest.HasLease(); }, std::chrono::milliseconds(1000)));
  EXPECT_FALSE(guest.done());
}

TEST(FailuresTest, TheAgentGoesAndTheLeaseRunsOutThenItComesBack) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  const uint64_t before = guest.generation();
  host.StopAgent();
  ASSERT_TRUE(Eventually([&] { return !guest.HasLease(); }));
  EXPECT_EQ(guest.stats().connects, 1u);  // the stream has stayed
  host.StartAgent();
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  EXPECT_EQ(guest.stats().connects, 1u);
  EXPECT_NE(guest.generation(), before);
}

TEST(FailuresTest, TheVmGoesAndTheGuestAgentStops) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  host.agent().RemoveVm(TestHost::kVm);
  ASSERT_TRUE(Eventually([&] { return guest.done(); }));
  EXPECT_TRUE(absl::IsNotFound(guest.result())) << guest.result();
  EXPECT_FALSE(guest.HasLease());
  EXPECT_TRUE(Eventually([&] { return access(host.VmSocket().c_str(), F_OK) != 0; }));
}

TEST(FailuresTest, AVmThatGoesDisturbsNoOther) {
  TestHost host;
  host.agent().AddVm(8, 4);
  ASSERT_TRUE(Eventually([&] { return host.Serves(8); }));
  TestGuest stays(host.VmSocket(7));
  TestGuest goes(host.VmSocket(8));
  ASSERT_TRUE(Eventually([&] { return stays.HasLease() && goes.HasLease(); }));
  host.agent().RemoveVm(8);
  ASSERT_TRUE(Eventually([&] { return goes.done(); }));
  const uint64_t heartbeats = stays.stats().heartbeats;
  EXPECT_TRUE(Eventually([&] { return stays.stats().heartbeats >= heartbeats + 2; }));
  EXPECT_EQ(stays.stats().connects, 1u);
}

TEST(FailuresTest, AVmThatAnAgentForgotIsGone) {
  TestHost host;
  host.agent().AddVm(8, 4);
  ASSERT_TRUE(Eventually([&] { return host.Serves(8); }));
  TestGuest guest(host.VmSocket(8));
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  host.StopAgent();
  host.StartAgent();  // knows VM 7 alone
  ASSERT_TRUE(Eventually([&] { return guest.done(); }));
  EXPECT_TRUE(absl::IsNotFound(guest.result())) << guest.result();
}

TEST(FailuresTest, AGuestAgentBeforeItsHostWaitsForIt) {
  TestHost host;
  host.StopServer();
  TestGuest guest(host.VmSocket());
  EXPECT_FALSE(guest.HasLease());
  host.StartServer();
  EXPECT_TRUE(Eventually([&] { return guest.HasLease(); }));
}

TEST(FailuresTest, AGuestThatIsStoppedVoidsItsPage) {
  TestHost host;
  auto guest = std::make_unique<TestGuest>(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest->HasLease(); }));
  const auto record = host.server().directory().Find(TestHost::kVm);
  EXPECT_EQ(record->counters().streams, 1u);
  guest.reset();
  EXPECT_TRUE(Eventually([&] { return record->counters().streams == 0; }));
}

}  // namespace
}  // namespace lockhost
