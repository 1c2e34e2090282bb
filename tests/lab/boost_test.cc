// SPDX-License-Identifier: Apache-2.0
//
// Preempted lock holders of a real VM that run again at once.
#include "client/page/hint_reader.h"
#include "tests/lab/boost_fixture.h"
#include "tests/lab/harness/neighbours.h"

namespace lockhost::lab {
namespace {

using agent::BoostAsker;
using agent::BoostEnd;
using agent::BoostRecord;

TEST_F(BoostTest, PreemptedHoldersComeBackAndAreLetGo) {
  // A recall is taken back when another vCPU of the VM gets that CPU.
  const auto waiters_know = [this] {
    const auto records = log_->After(0);
    return std::any_of(records.begin(), records.end(), [this](const BoostRecord& record) {
      return lockhost_hint_slot_at(session_->pages().table(), record.vcpu_id)->recalled != 0;
    });
  };
  for (int i = 0; i < 10 && !waiters_know(); ++i) Run(Subject::kLockhostBoost);
  EXPECT_TRUE(waiters_know());
  const auto records = log_->After(0);
  ASSERT_FALSE(records.empty()) << "no holder was preempted in 5 s, or none was boosted";
  EXPECT_TRUE(BecomeOrdinary());
  EXPECT_TRUE(std::any_of(records.begin(), records.end(), [](const BoostRecord& record) {
    return record.end == BoostEnd::kReleased && record.running_at_ns != 0;
  }));
  for (const BoostRecord& record : records) {
    EXPECT_LE(record.preempted_at_ns, record.raised_at_ns);
    EXPECT_LE(record.raised_at_ns, record.ended_at_ns);
  }
}

// The host reads no report word: the guest hears of the preemption, and names the holder.
TEST_F(BoostTest, HoldersThatTheGuestNamesOverGrpcComeBack) {
  const RunSpec spec = {.subject = Subject::kLockhostGrpc,
                        .gap_ns = 2'000,
                        .duration = kRunTime,
                        .grpc_boosts = true};
  for (int i = 0; i < 40 && log_->After(0).empty(); ++i) Run(spec);
  const auto records = log_->After(0);
  ASSERT_FALSE(records.empty()) << "no holder was named and boosted in 20 s";
  EXPECT_TRUE(BecomeOrdinary());
  for (const BoostRecord& record : records) {
    EXPECT_EQ(record.asker, BoostAsker::kGrpc);
    EXPECT_NE(record.preempted_at_ns, 0u);
    EXPECT_LE(record.preempted_at_ns, record.raised_at_ns);
  }
}

// Beside neighbours a sleeper that is woken waits long for a CPU, and all other sleepers with it.
TEST_F(BoostTest, AnHeirThatFindsNoCpuComesBack) {
  const auto hogs = Neighbours::Start(session_->machine().vcpus());
  ASSERT_TRUE(hogs.ok()) << hogs.status();
  const auto has_heir = [](const std::vector<BoostRecord>& records) {
    return std::any_of(records.begin(), records.end(), [](const BoostRecord& record) {
      return record.asker == BoostAsker::kHeir && record.running_at_ns != 0;
    });
  };
  for (int i = 0; i < 40 && !has_heir(log_->After(0)); ++i) Run(Subject::kLockhostBoost);
  EXPECT_TRUE(has_heir(log_->After(0))) << "no heir was boosted in 20 s";
  EXPECT_TRUE(BecomeOrdinary());
}

TEST_F(BoostTest, SwitchedOffNobodyIsBoosted) {
  Run(Subject::kLockhostBoost);
  Run(Subject::kLockhostDirect);  // switches boosts of this VM off
  const auto before = log_->After(0).size();
  for (int i = 0; i < 3; ++i) Run(Subject::kLockhostDirect);
  EXPECT_EQ(log_->After(0).size(), before);
}

// boost_long_test.cc does so a hundred times.
TEST_F(BoostTest, AnAgentThatIsKilledLeavesNoThreadBoosted) { KillInMidBoost(3, 3); }

}  // namespace
}  // namespace lockhost::lab
