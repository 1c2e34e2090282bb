// SPDX-License-Identifier: Apache-2.0
#include "server/service/boost_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/channel/packet.h"
#include "server/service/vm_view.h"
#include "tests/server/table_fixture.h"

namespace lockhost::server {
namespace {

using testing::HasSubstr;

constexpr uint64_t kVm = 7;
constexpr uint32_t kIndex = 2;
constexpr uint64_t kNowNs = 50'000'000'000;

// An agent that boosts, as lockhostd sees it.
class BoostViewTest : public testing::Test {
 protected:
  BoostViewTest() {
    agent::SetFieldText(figures_.boost_mechanism, "fifo");
    figures_.updated_at_ns = 1;
    figures_.vms[kIndex].vm_id = kVm;
    figures_.vms[kIndex].boost.enabled = 1;
    directory_.Put(MakeRecord(kVm, kIndex, table_));
    Tell();
  }
  void Tell(bool with_log = true) {
    page_->Write(figures_);
    SourceState source{true, agent::SourceKind::kBpf};
    source.host_page = *agent::HostPageReader::Attach(page_->fd());
    if (with_log) source.boost_log = *agent::BoostLogReader::Attach(log_.fd());
    directory_.SetSource(std::move(source));
  }
  void Log(uint64_t vm_id, uint32_t vcpu_id = 1) {
    log_.Append({.vm_id = vm_id,
                 .vcpu_id = vcpu_id,
                 .end = agent::BoostEnd::kTimedOut,
                 .asker = agent::BoostAsker::kGrpc,
                 .preempted_at_ns = kNowNs - 1'000'000,
                 .raised_at_ns = kNowNs - 900'000,
                 .running_at_ns = kNowNs - 880'000,
                 .ended_at_ns = kNowNs - 700'000});
  }
  absl::StatusOr<v1::ListBoostsResponse> Ask(uint64_t after_id = 0, uint64_t vm_id = kVm) {
    v1::ListBoostsRequest request;
    request.set_vm_id(vm_id);
    request.set_after_id(after_id);
    return ListBoosts(directory_, request, kNowNs);
  }

  TestTable table_;
  agent::BoostLogWriter log_ = *agent::BoostLogWriter::Create();
  std::unique_ptr<agent::HostPageWriter> page_ = *agent::HostPageWriter::Create();
  agent::HostFigures figures_;
  VmDirectory directory_;
};

TEST_F(BoostViewTest, TellsWhatBecameOfABoost) {
  Log(kVm, 3);
  const auto response = Ask();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->enabled());
  ASSERT_EQ(response->boosts_size(), 1);
  const v1::Boost& boost = response->boosts(0);
  EXPECT_EQ(boost.vcpu_id(), 3u);
  EXPECT_EQ(boost.asker(), v1::BOOST_ASKER_GRPC);
  EXPECT_EQ(boost.end(), v1::BOOST_END_TIMED_OUT);
  EXPECT_EQ(boost.preempted_age_ns(), 1'000'000u);
  EXPECT_EQ(boost.boosted_after_ns(), 100'000u);
  EXPECT_EQ(boost.running_after_ns(), 120'000u);
  EXPECT_EQ(boost.ended_after_ns(), 300'000u);
}

TEST_F(BoostViewTest, OtherVmsBoostsAreTheirOwnAffair) {
  Log(99);
  Log(kVm);
  Log(99);
  const auto response = Ask();
  ASSERT_EQ(response->boosts_size(), 1);
  EXPECT_EQ(response->last_id(), 3u);
  EXPECT_EQ(Ask(response->last_id())->boosts_size(), 0);
  Log(kVm);
  EXPECT_EQ(Ask(response->last_id())->boosts_size(), 1);
}

TEST_F(BoostViewTest, WhatIsNotKeptAnyMoreIsCounted) {
  Log(kVm);
  ASSERT_EQ(Ask()->last_id(), 1u);
  for (size_t i = 0; i < agent::BoostLogReader::kKept + 5; ++i) Log(99);
  EXPECT_EQ(Ask(1)->missed(), 5u);
}

TEST_F(BoostViewTest, AfterTheAgentWasRestartedTheLogBeginsAnew) {
  Log(kVm);
  EXPECT_EQ(Ask(500)->boosts_size(), 1);
}

TEST_F(BoostViewTest, SwitchedOffIsSaid) {
  figures_.vms[kIndex].boost.enabled = 0;
  Tell();
  EXPECT_FALSE(Ask()->enabled());
}

TEST_F(BoostViewTest, AHostThatBoostsNobodySaysWhy) {
  agent::SetFieldText(figures_.boost_mechanism, "none");
  agent::SetFieldText(figures_.boost_reason, "switched off");
  Tell(/*with_log=*/false);
  const auto response = Ask();
  EXPECT_TRUE(absl::IsFailedPrecondition(response.status()));
  EXPECT_THAT(std::string(response.status().message()), HasSubstr("nobody: switched off"));
}

TEST_F(BoostViewTest, UnknownVmsAndAMissingAgentAreErrors) {
  EXPECT_TRUE(absl::IsNotFound(Ask(0, 8).status()));
  directory_.SetSource({});
  EXPECT_TRUE(absl::IsUnavailable(Ask().status()));
}

TEST_F(BoostViewTest, AVmTellsOfItsBoosts) {
  agent::BoostFigures& boost = figures_.vms[kIndex].boost;
  boost.ended[0][0] = 4;
  boost.ended[1][2] = 1;
  boost.denied[1][0] = 3;
  boost.boosted_ns = 12;
  boost.budget_left_ns = 1'000'000;
  boost.budget_share = 0.05;
  boost.budget_burst_ns = 10'000'000;
  boost.updated_at_ns = kNowNs - 20'000'000;
  boost.repays = 1;
  Tell();
  const auto list = ListVms(directory_, {}, kNowNs);
  ASSERT_TRUE(list.ok() && list->vms_size() == 1);
  const v1::VmBoosts& told = list->vms(0).boosts();
  EXPECT_TRUE(told.enabled());
  EXPECT_TRUE(told.repays());
  EXPECT_EQ(told.granted(), 5u);
  EXPECT_EQ(told.denied(), 3u);
  EXPECT_EQ(told.boosted_ns(), 12u);
  EXPECT_EQ(told.budget_left_ns(), 2'000'000) << "it has filled up since";
  boost.updated_at_ns = 1;
  Tell();
  EXPECT_EQ(ListVms(directory_, {}, kNowNs)->vms(0).boosts().budget_left_ns(), 10'000'000);
}

TEST_F(BoostViewTest, WhereNobodyIsBoostedAVmHasNoFigures) {
  agent::SetFieldText(figures_.boost_mechanism, "none");
  Tell(/*with_log=*/false);
  EXPECT_FALSE(ListVms(directory_, {}, kNowNs)->vms(0).has_boosts());
}

}  // namespace
}  // namespace lockhost::server
