// SPDX-License-Identifier: Apache-2.0
//
// From a preempted vCPU over the guest, which knows that it holds a lock, to the booster.
#include <gtest/gtest.h>

#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

class HolderReportsTest : public testing::Test {
 protected:
  void SetUp() override {
    host_.agent().StartBoosting(TestHost::kVm, {.vm_id = 99});
    ASSERT_TRUE(Eventually([this] { return guest_.HasLease(); }));
    ASSERT_TRUE(Eventually([this] {
      guest_.Wait(1);
      return guest_.Hint(1) == static_cast<uint32_t>(LOCKHOST_RUN_STATE_RUNNING);
    }));
  }
  void Preempt() { host_.agent().SetState(TestHost::kVm, 1, LOCKHOST_RUN_STATE_PREEMPTED); }
  const server::VmCounters& counters() {
    return host_.server().directory().Find(TestHost::kVm)->counters();
  }

  TestHost host_;
  TestGuest guest_{host_.VmSocket()};
};

TEST_F(HolderReportsTest, APreemptedHolderThatSomebodyWaitsForIsAskedFor) {
  guest_.Hold(1);
  Preempt();
  std::vector<agent::BoostRequest> asked;
  ASSERT_TRUE(Eventually([&] {
    guest_.Wait(1);
    asked = host_.agent().TakeBoostRequests();
    return !asked.empty();
  }));
  const uint64_t state = host_.server().directory().Find(TestHost::kVm)->table()->ReadStateWord(1);
  EXPECT_EQ(asked[0].vm_id, TestHost::kVm);
  EXPECT_EQ(asked[0].vcpu_id, 1u);
  EXPECT_EQ(asked[0].state_word, state);
  EXPECT_EQ(asked[0].asker, agent::BoostAsker::kGrpc);
  EXPECT_GE(counters().boosts_forwarded, 1u);
}

TEST_F(HolderReportsTest, WhoHoldsNoLockIsNot) {
  Preempt();
  const uint64_t reports = guest_.stats().reports;
  ASSERT_TRUE(Eventually([&] {
    guest_.Wait(1);
    return guest_.Hint(1) == static_cast<uint32_t>(LOCKHOST_RUN_STATE_PREEMPTED) &&
           guest_.stats().reports >= reports + 3;
  }));
  EXPECT_TRUE(host_.agent().TakeBoostRequests().empty());
  EXPECT_EQ(counters().boosts_forwarded, 0u);
}

}  // namespace
}  // namespace lockhost
