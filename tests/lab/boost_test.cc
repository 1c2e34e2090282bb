// SPDX-License-Identifier: Apache-2.0
//
// Preempted lock holders of a real VM that run again at once.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "agent/channel/agent_client.h"
#include "agent/table/boost_log.h"
#include "tests/lab/harness/session.h"

namespace lockhost::lab {
namespace {

using agent::BoostEnd;
using agent::BoostRecord;

constexpr std::chrono::seconds kTimeout{10};
constexpr std::chrono::milliseconds kRunTime{500};

// A VM on real KVM with twice as many vCPUs as CPUs, and an agent that may boost them.
class BoostTest : public testing::Test {
 protected:
  void SetUp() override {
    auto session = Session::Create(2 * std::max(2u, std::thread::hardware_concurrency()),
                                   BackendChoice::kAuto);
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    if (!session_->why_not_kvm().empty()) GTEST_SKIP() << session_->why_not_kvm();
    const absl::Status up = session_->StartDaemons();
    ASSERT_TRUE(up.ok()) << up;
    if (!session_->has_oracle()) GTEST_SKIP() << session_->source().reason;
    auto client = agent::AgentClient::Connect(session_->daemons()->agent_socket());
    ASSERT_TRUE(client.ok() && client->Subscribe().ok());
    const auto event = client->Await(kTimeout);
    ASSERT_TRUE(event.ok()) << event.status();
    const auto& source = std::get<agent::SourceEvent>(*event);
    if (!source.boost_log.valid()) GTEST_SKIP() << "this process may not boost";
    log_ = *agent::BoostLogReader::Attach(source.boost_log.get());
  }

  void Run(Subject subject, const std::function<void()>& during = nullptr) {
    const auto result =
        session_->Run({.subject = subject, .gap_ns = 2'000, .duration = kRunTime}, during);
    ASSERT_TRUE(result.ok()) << result.status();
  }
  bool AllOrdinary() const {
    const auto& tids = session_->machine().vcpu_tids();
    return std::all_of(tids.begin(), tids.end(), [](pid_t tid) {
      return (sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK) == SCHED_OTHER;
    });
  }
  bool BecomeOrdinary() const {
    const auto deadline = std::chrono::steady_clock::now() + kTimeout;
    while (!AllOrdinary() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return AllOrdinary();
  }

  std::unique_ptr<Session> session_;
  std::unique_ptr<agent::BoostLogReader> log_;
};

TEST_F(BoostTest, PreemptedHoldersComeBackAndAreLetGo) {
  for (int i = 0; i < 10 && log_->After(0).empty(); ++i) Run(Subject::kLockhostBoost);
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

TEST_F(BoostTest, SwitchedOffNobodyIsBoosted) {
  Run(Subject::kLockhostBoost);
  Run(Subject::kLockhostDirect);  // switches boosts of this VM off
  const auto before = log_->After(0).size();
  for (int i = 0; i < 3; ++i) Run(Subject::kLockhostDirect);
  EXPECT_EQ(log_->After(0).size(), before);
}

// At a random moment: most often some vCPU is boosted or about to be.
TEST_F(BoostTest, AnAgentThatIsKilledLeavesNoThreadBoosted) {
  for (int i = 0; i < 3; ++i) {
    Run(Subject::kLockhostBoost, [&, killed = false]() mutable {
      const bool boosted = !AllOrdinary();
      if (boosted && !killed) session_->daemons()->Kill(Daemon::kAgent);
      killed |= boosted;
    });
    EXPECT_TRUE(BecomeOrdinary());
    ASSERT_TRUE(session_->StopDaemons().ok());
    ASSERT_TRUE(session_->StartDaemons().ok());
  }
}

}  // namespace
}  // namespace lockhost::lab
