// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_BOOST_FIXTURE_H_
#define LOCKHOST_TESTS_LAB_BOOST_FIXTURE_H_

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "agent/table/boost_log.h"
#include "tests/lab/harness/boost_times.h"
#include "tests/lab/harness/session.h"

namespace lockhost::lab {

// A VM with twice as many vCPUs as CPUs, and an agent that may boost them. Where there is no
// KVM, threads stand in for them, which are boosted as vCPUs are.
class BoostTest : public testing::Test {
 protected:
  static constexpr std::chrono::seconds kTimeout{10};
  static constexpr std::chrono::milliseconds kRunTime{500};

  void SetUp() override {
    auto session = Session::Create(2 * std::max(2u, std::thread::hardware_concurrency()),
                                   BackendChoice::kAuto);
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    const absl::Status up = session_->StartDaemons();
    ASSERT_TRUE(up.ok()) << up;
    if (!session_->has_oracle()) GTEST_SKIP() << session_->source().reason;
    auto log = OpenBoostLog(session_->daemons()->agent_socket());
    if (absl::IsFailedPrecondition(log.status())) GTEST_SKIP() << log.status().message();
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
  }

  void Run(Subject subject, const std::function<void()>& during = nullptr) {
    Run({.subject = subject, .gap_ns = 2'000, .duration = kRunTime}, during);
  }
  void Run(const RunSpec& spec, const std::function<void()>& during = nullptr) {
    const auto result = session_->Run(spec, during);
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

  // Kills the agent while some vCPU is boosted, so many times, or as often as that happens in
  // so many runs. Returns how often it was.
  int KillInMidBoost(int times, int runs) {
    int kills = 0;
    for (int i = 0; i < runs && kills < times && !HasFatalFailure(); ++i) {
      Run({.subject = Subject::kLockhostBoost, .gap_ns = 2'000, .duration = kRunTime},
          [&, killed = false]() mutable {
            if (killed || AllOrdinary()) return;
            session_->daemons()->Kill(Daemon::kAgent);
            killed = true;
            ++kills;
          });
      EXPECT_TRUE(BecomeOrdinary()) << "after " << kills << " kills";
      if (absl::Status stopped = session_->StopDaemons(); !stopped.ok()) ADD_FAILURE() << stopped;
      if (absl::Status up = session_->StartDaemons(); !up.ok()) ADD_FAILURE() << up;
    }
    return kills;
  }

  std::unique_ptr<Session> session_;
  std::unique_ptr<agent::BoostLogReader> log_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_BOOST_FIXTURE_H_
