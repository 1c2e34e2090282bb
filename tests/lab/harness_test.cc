// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/lab/harness/boost_times.h"
#include "tests/lab/harness/child_process.h"
#include "tests/lab/harness/run_directory.h"
#include "tests/lab/harness/summary.h"
#include "tests/lab/harness/thread_usage.h"

namespace lockhost::lab {
namespace {

using testing::HasSubstr;

TEST(BoostTimes, AHolderNamedByAMessageIsAwaitedFromTheFirstRingOn) {
  agent::BoostRecord record = {.preempted_at_ns = 100, .raised_at_ns = 200};
  EXPECT_EQ(AwaitedSinceNs(record, {150}), 100u) << "BPF knows since when";
  record.asker = agent::BoostAsker::kGrpc;
  EXPECT_EQ(AwaitedSinceNs(record, {}), 100u);
  EXPECT_EQ(AwaitedSinceNs(record, {90, 150, 170}), 150u);
  EXPECT_EQ(AwaitedSinceNs(record, {90, 250}), 100u);
}

TEST(ThreadUsage, ReadsWhatTheKernelWrites) {
  EXPECT_EQ(*ParseCpuTime("123456 789 10\n"), 123456u);
  EXPECT_EQ(
      *ParseSwitches("Name:\tx\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n"),
      42u);
}

TEST(ThreadUsage, RefusesWhatItDoesNotUnderstand) {
  EXPECT_FALSE(ParseCpuTime("").ok());
  EXPECT_FALSE(ParseCpuTime("x 1 2").ok());
  EXPECT_FALSE(ParseSwitches("").ok());
  EXPECT_FALSE(ParseSwitches("voluntary_ctxt_switches:\t40\n").ok());
  EXPECT_FALSE(ParseSwitches("voluntary_ctxt_switches:\tx\nnonvoluntary_ctxt_switches:\t2\n").ok());
}

TEST(ThreadUsage, CountsAllThreadsOfAProcess) {
  const absl::StatusOr<uint64_t> before_ns = ReadProcessCpuNs(getpid());
  ASSERT_TRUE(before_ns.ok()) << before_ns.status();
  std::atomic<bool> stop{false};
  std::thread other([&stop] {
    while (!stop) continue;
  });
  absl::StatusOr<uint64_t> after_ns = before_ns;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (after_ns.ok() && *after_ns < *before_ns + 1'000'000 &&
         std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    after_ns = ReadProcessCpuNs(getpid());
  }
  stop = true;
  other.join();
  ASSERT_TRUE(after_ns.ok()) << after_ns.status();
  EXPECT_GE(*after_ns, *before_ns + 1'000'000);
  EXPECT_TRUE(absl::IsNotFound(ReadProcessCpuNs(INT_MAX).status()));
}

TEST(ThreadUsage, CountsThisVeryThread) {
  const pid_t self[] = {getpid()};
  const absl::StatusOr<ThreadUsage> usage = ReadThreadUsage(self);
  ASSERT_TRUE(usage.ok()) << usage.status();
  const pid_t nobody[] = {0};
  EXPECT_TRUE(absl::IsNotFound(ReadThreadUsage(nobody).status()));
}

TEST(Summary, MeanAndDeviationOfTheSample) {
  const MeanAndDeviation of = Summarise({2, 4, 4, 4, 5, 5, 7, 9});
  EXPECT_DOUBLE_EQ(of.mean, 5);
  EXPECT_NEAR(of.stddev, 2.138, 0.001);
  EXPECT_EQ(Summarise({}).mean, 0);
  EXPECT_EQ(Summarise({3}).stddev, 0);
}

TEST(Summary, SharesAreAbsentWhereNothingWasSeen) {
  Summary summary;
  RunResult run = {};
  run.seconds = 2;
  run.acquisitions = {10, 5};
  summary.Add(run);
  EXPECT_DOUBLE_EQ(summary.throughput().mean, 7.5);
  EXPECT_DOUBLE_EQ(summary.fairness(), 0.5);
  EXPECT_FALSE(summary.agreement().has_value());
  EXPECT_FALSE(summary.lock_holder_preemptions().has_value());
  run.judged_ns = 100;
  run.agreed_ns = 90;
  run.lock_holder_preemptions = 3;
  summary.Add(run);
  summary.Add(run);
  EXPECT_DOUBLE_EQ(summary.agreement().value(), 0.9);
  EXPECT_EQ(summary.lock_holder_preemptions().value(), 6u);
}

class InRunDirectory : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<RunDirectory>> made = RunDirectory::Create(testing::TempDir());
    ASSERT_TRUE(made.ok()) << made.status();
    directory_ = *std::move(made);
  }
  ChildSpec Shell(const std::string& script) const {
    return {.name = "child",
            .argv = {"/bin/sh", "-c", script},
            .user = {},
            .inherited_fds = {},
            .log_path = directory_->path() + "/log"};
  }
  static bool Await(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return done();
  }
  std::unique_ptr<RunDirectory> directory_;
};

TEST_F(InRunDirectory, AChildThatEndsIsReportedWithItsLastWords) {
  absl::StatusOr<ChildProcess> child = ChildProcess::Start(Shell("echo so long; exit 3"));
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_TRUE(Await([&] { return !child->Check().ok(); }));
  EXPECT_THAT(std::string(child->Check().message()),
              testing::AllOf(HasSubstr("exit code 3"), HasSubstr("so long")));
}

TEST_F(InRunDirectory, AProgramThatIsNotThereIsAnErrorAtOnce) {
  ChildSpec spec = Shell("");
  spec.argv = {"/nonexistent/daemon"};
  const absl::Status status = ChildProcess::Start(spec).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent/daemon"));
}

TEST_F(InRunDirectory, AChildThatIgnoresSigtermIsKilled) {
  absl::StatusOr<ChildProcess> child =
      ChildProcess::Start(Shell("trap '' TERM; echo ready; while :; do :; done"));
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_TRUE(Await([&] { return TailOf(directory_->path() + "/log") == "ready"; }));
  child->Stop(std::chrono::milliseconds(50));
  EXPECT_FALSE(child->started());
}

TEST_F(InRunDirectory, AnUnprivilegedChildHasNoRights) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give up its rights";
  ChildSpec spec = Shell("id -u; grep -E '^(CapPrm|CapEff|NoNewPrivs)' /proc/self/status");
  spec.user = Unprivileged{.uid = 65534, .gid = 65534};
  absl::StatusOr<ChildProcess> child = ChildProcess::Start(spec);
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_TRUE(Await([&] { return !child->Check().ok(); }));
  const std::string said = TailOf(directory_->path() + "/log");
  EXPECT_THAT(said, testing::StartsWith("65534\n"));
  EXPECT_THAT(said, HasSubstr("CapPrm:\t0000000000000000"));
  EXPECT_THAT(said, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(said, HasSubstr("NoNewPrivs:\t1"));
}

TEST(RunDirectory, WhatAKilledProcessLeftIsRemovedByTheNext) {
  const std::string parent = testing::TempDir() + "/left-overs-" + std::to_string(getpid());
  std::filesystem::create_directories(parent);
  const pid_t killed = fork();
  if (killed == 0) {
    auto made = RunDirectory::Create(parent);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  waitpid(killed, &status, 0);
  ASSERT_EQ(std::distance(std::filesystem::directory_iterator(parent), {}), 1);
  {
    auto first = RunDirectory::Create(parent);
    ASSERT_TRUE(first.ok());
    auto second = RunDirectory::Create(parent);  // the first is in use
    ASSERT_TRUE(second.ok());
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(parent), {}), 2);
  }
  EXPECT_TRUE(std::filesystem::is_empty(parent));
  std::filesystem::remove_all(parent);
}

TEST(RunDirectory, SaysWhereItCouldNotBeMade) {
  const absl::Status status = RunDirectory::Create("/nonexistent").status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent"));
}

}  // namespace
}  // namespace lockhost::lab
