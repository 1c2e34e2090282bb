// SPDX-License-Identifier: Apache-2.0
//
// From a vCPU's table, over lockhostd, gRPC and the guest agent, to the page.
#include <gtest/gtest.h>

#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

constexpr auto kRunning = static_cast<uint32_t>(LOCKHOST_RUN_STATE_RUNNING);
constexpr auto kPreempted = static_cast<uint32_t>(LOCKHOST_RUN_STATE_PREEMPTED);
constexpr auto kNoHint = static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED);

TEST(HintsTest, AGuestGetsALeaseAndAGeneration) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  EXPECT_NE(guest.generation(), 0u);
  EXPECT_EQ(guest.stats().snapshots, 1u);
  EXPECT_EQ(guest.stats().deltas, 0u);
}

TEST(HintsTest, WithoutDemandNothingIsToldAndNobodyIsWoken) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  for (int i = 0; i < 20; ++i) {
    host.agent().SetState(TestHost::kVm, 0,
                          i % 2 ? LOCKHOST_RUN_STATE_RUNNING : LOCKHOST_RUN_STATE_PREEMPTED);
  }
  const uint64_t heartbeats = guest.stats().heartbeats;
  ASSERT_TRUE(Eventually([&] { return guest.stats().heartbeats >= heartbeats + 3; }));
  EXPECT_EQ(guest.stats().deltas, 0u);
  EXPECT_FALSE(host.agent().HasDemand(TestHost::kVm));
  EXPECT_EQ(guest.Hint(0), kNoHint);
}

TEST(HintsTest, DemandIsAnsweredWithEveryVcpu) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  guest.Wait(1);
  ASSERT_TRUE(Eventually([&] { return guest.Hint(0) == kRunning && guest.Hint(1) == kRunning; }));
  EXPECT_EQ(guest.stats().rings, 1u);
  EXPECT_TRUE(host.server().directory().Find(TestHost::kVm)->counters().reports_accepted >= 1);
}

TEST(HintsTest, UnderDemandAChangeReachesThePage) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  ASSERT_TRUE(Eventually([&] {
    guest.Wait(1);
    return guest.Hint(1) == kRunning;
  }));
  EXPECT_TRUE(host.agent().HasDemand(TestHost::kVm));
  for (int round = 0; round < 5; ++round) {
    host.agent().SetState(TestHost::kVm, 1, LOCKHOST_RUN_STATE_PREEMPTED);
    ASSERT_TRUE(Eventually([&] {
      guest.Wait(1);
      return guest.Hint(1) == kPreempted;
    }));
    host.agent().SetState(TestHost::kVm, 1, LOCKHOST_RUN_STATE_RUNNING);
    ASSERT_TRUE(Eventually([&] {
      guest.Wait(1);
      return guest.Hint(1) == kRunning;
    }));
  }
}

TEST(HintsTest, UnderDemandMessagesGoPastGrpcAndNoneIsLost) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  const auto record = host.server().directory().Find(TestHost::kVm);
  bool preempted = false;
  ASSERT_TRUE(Eventually([&] {
    preempted = !preempted;
    host.agent().SetState(TestHost::kVm, 1,
                          preempted ? LOCKHOST_RUN_STATE_PREEMPTED : LOCKHOST_RUN_STATE_RUNNING);
    guest.Wait(1);
    const bool told = Eventually([&] {
      guest.Wait(1);
      return guest.Hint(1) == (preempted ? kPreempted : kRunning);
    });
    return !told || record->counters().messages_past_grpc >= 50;
  }));
  EXPECT_GE(record->counters().messages_past_grpc, 50u);
  EXPECT_EQ(guest.stats().bad_messages, 0u);
  EXPECT_EQ(guest.stats().connects, 1u);
  // gRPC has the last word.
  host.agent().RemoveVm(TestHost::kVm);
  ASSERT_TRUE(Eventually([&] { return guest.done(); }));
  EXPECT_TRUE(absl::IsNotFound(guest.result())) << guest.result();
}

TEST(HintsTest, WhenTheWaitersHaveGoneDemandEndsAndTheSlotsSayNothing) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  guest.Wait(0);
  ASSERT_TRUE(Eventually([&] { return guest.Hint(0) == kRunning; }));
  ASSERT_TRUE(Eventually([&] { return guest.Hint(0) == kNoHint; }));
  ASSERT_TRUE(Eventually([&] { return !host.agent().HasDemand(TestHost::kVm); }));
  EXPECT_TRUE(guest.HasLease());
  guest.Wait(0);  // and it can begin again
  ASSERT_TRUE(Eventually([&] { return guest.Hint(0) == kRunning; }));
  EXPECT_EQ(guest.stats().rings, 2u);
}

TEST(HintsTest, WithADirectPageOnlyTheLeaseIsWritten) {
  TestHost host;
  TestGuest guest(host.VmSocket(), 8, LOCKHOST_PAGE_PATH_DIRECT_MAP);
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  guest.Wait(0);
  const uint64_t heartbeats = guest.stats().heartbeats;
  ASSERT_TRUE(Eventually([&] { return guest.stats().heartbeats >= heartbeats + 3; }));
  EXPECT_EQ(guest.Hint(0), kNoHint);
  EXPECT_EQ(guest.stats().rings, 0u);
  EXPECT_FALSE(host.agent().HasDemand(TestHost::kVm));
}

TEST(HintsTest, ANewTableIsANewGeneration) {
  TestHost host;
  TestGuest guest(host.VmSocket());
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  const uint64_t before = guest.generation();
  host.agent().ReplaceTable(TestHost::kVm);
  ASSERT_TRUE(Eventually([&] { return guest.generation() != before; }));
  EXPECT_EQ(guest.stats().snapshots, 2u);
  EXPECT_EQ(guest.stats().connects, 1u);  // on the same stream
}

TEST(HintsTest, AGuestSeesItsOwnVmAlone) {
  TestHost host;
  host.agent().AddVm(8, 4);
  host.agent().SetState(8, 0, LOCKHOST_RUN_STATE_HALTED);
  ASSERT_TRUE(Eventually([&] { return host.Serves(8); }));
  TestGuest first(host.VmSocket(7));
  TestGuest second(host.VmSocket(8));
  ASSERT_TRUE(Eventually([&] { return first.HasLease() && second.HasLease(); }));
  EXPECT_NE(first.generation(), second.generation());
  second.Wait(0);
  ASSERT_TRUE(Eventually([&] {
    second.Wait(0);
    return second.stats().deltas >= 1;
  }));
  EXPECT_EQ(second.Hint(0), static_cast<uint32_t>(LOCKHOST_RUN_STATE_HALTED));
  EXPECT_TRUE(host.agent().HasDemand(8));
  EXPECT_FALSE(host.agent().HasDemand(7));
  EXPECT_EQ(first.stats().deltas, 0u);
}

}  // namespace
}  // namespace lockhost
