// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/preempted_holders.h"

#include <gtest/gtest.h>

#include "tests/client/guest_agent/page_file.h"

namespace lockhost::guest_agent {
namespace {

uint64_t fake_now_ns = 0;

class PreemptedHoldersTest : public testing::Test {
 protected:
  PreemptedHoldersTest() {
    fake_now_ns = 1'000'000'000;
    v1::WatchHintsResponse snapshot;
    snapshot.mutable_snapshot()->set_generation(9);
    EXPECT_EQ(holders_.AnswerTo(snapshot), nullptr);
  }

  lockhost_report_slot& Slot(uint32_t vcpu_id) {
    return *lockhost_report_slot_at(page_.get(), vcpu_id);
  }
  void Hold(uint32_t vcpu_id) { Slot(vcpu_id).report_word = 0x30001; }
  const v1::ReportHoldersRequest* Hear(uint32_t vcpu_id, v1::RunState state, uint64_t revision = 12,
                                       uint64_t report_word = 0) {
    v1::WatchHintsResponse message;
    v1::VcpuHint* hint = message.mutable_delta()->add_vcpus();
    hint->set_vcpu_id(vcpu_id);
    hint->set_run_state(state);
    hint->set_revision(revision);
    hint->set_report_word(report_word);
    return holders_.AnswerTo(message);
  }

  TestDirectory directory_;
  ReportPage reports_ = *ReportPage::Open(directory_.File("reports"), 4);
  ReportView page_{directory_.File("reports")};
  PreemptedHolders holders_{&reports_, Clock{[] { return fake_now_ns; }}};
};

TEST_F(PreemptedHoldersTest, AHolderThatSomebodyWaitsForIsNamedWithItsRevision) {
  Hold(2);
  Slot(0).waits_for = 3;
  const v1::ReportHoldersRequest* answer = Hear(2, v1::RUN_STATE_PREEMPTED);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->generation(), 9u);
  EXPECT_FALSE(answer->has_demand()) << "it wakes nobody but the booster";
  ASSERT_EQ(answer->holders_size(), 1);
  EXPECT_EQ(answer->holders(0).vcpu_id(), 2u);
  EXPECT_EQ(answer->holders(0).revision(), 12u);
  EXPECT_TRUE(answer->holders(0).contended());
}

TEST_F(PreemptedHoldersTest, AMarkIsAsGoodAsAWaiter) {
  Hold(2);
  Slot(2).awaited = 1;
  EXPECT_NE(Hear(2, v1::RUN_STATE_PREEMPTED), nullptr);
}

TEST_F(PreemptedHoldersTest, AHostThatReadsTheReportWordsNeedsNotBeTold) {
  Hold(2);
  Slot(2).awaited = 1;
  EXPECT_EQ(Hear(2, v1::RUN_STATE_PREEMPTED, 12, 0x30001), nullptr);
  EXPECT_EQ(page_->bell_armed, 0u);
}

TEST_F(PreemptedHoldersTest, NothingIsAskedForWhoHoldsNoLock) {
  Slot(2).awaited = 1;
  EXPECT_EQ(Hear(2, v1::RUN_STATE_PREEMPTED), nullptr);
}

TEST_F(PreemptedHoldersTest, NothingIsAskedForAHolderThatNobodyWaitsFor) {
  Hold(2);
  Slot(0).waits_for = 2;  // vCPU 1
  EXPECT_EQ(Hear(2, v1::RUN_STATE_PREEMPTED), nullptr);
  EXPECT_EQ(page_->bell_armed, 1u) << "the first waiter to come rings";
}

TEST_F(PreemptedHoldersTest, NobodyNeedsToRingForWhoHoldsNothingOrIsNamed) {
  Hear(1, v1::RUN_STATE_PREEMPTED);
  Hold(2);
  Slot(2).awaited = 1;
  ASSERT_NE(Hear(2, v1::RUN_STATE_PREEMPTED), nullptr);
  EXPECT_EQ(page_->bell_armed, 0u);
}

TEST_F(PreemptedHoldersTest, NothingIsAskedForWhoRunsOrSleeps) {
  Hold(2);
  Slot(2).awaited = 1;
  EXPECT_EQ(Hear(2, v1::RUN_STATE_RUNNING), nullptr);
  EXPECT_EQ(Hear(2, v1::RUN_STATE_HALTED), nullptr);
}

TEST_F(PreemptedHoldersTest, AVcpuThatThePageHasNoSlotForIsPassedOver) {
  EXPECT_EQ(Hear(400, v1::RUN_STATE_PREEMPTED), nullptr);
}

TEST_F(PreemptedHoldersTest, APageFullOfClaimsCannotMakeItTalkWithoutEnd) {
  Hold(2);
  Slot(2).awaited = 1;
  uint32_t answers = 0;
  for (int i = 0; i < 1000; ++i) answers += Hear(2, v1::RUN_STATE_PREEMPTED) != nullptr ? 1 : 0;
  EXPECT_EQ(answers, PreemptedHolders::kReportBurst);
  fake_now_ns += 1'000'000'000;
  EXPECT_NE(Hear(2, v1::RUN_STATE_PREEMPTED), nullptr);
}

}  // namespace
}  // namespace lockhost::guest_agent
