// SPDX-License-Identifier: Apache-2.0
#include "agent/source/switch_recorder.h"

#include <gtest/gtest.h>
#include <linux/perf_event.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/other_user.h"
#include "tests/agent/support/spinner.h"

namespace lockhost::agent {
namespace {

struct Raw {
  perf_event_header header;
  uint32_t pid = 1, tid = 1;
  uint64_t time_ns;
};
constexpr uint16_t kOut = PERF_RECORD_MISC_SWITCH_OUT;
constexpr uint16_t kPreempted = kOut | PERF_RECORD_MISC_SWITCH_OUT_PREEMPT;

std::vector<std::byte> Bytes(const std::vector<Raw>& records) {
  std::vector<std::byte> bytes(records.size() * sizeof(Raw));
  if (!bytes.empty()) std::memcpy(bytes.data(), records.data(), bytes.size());
  return bytes;
}
Raw Switch(uint16_t misc, uint64_t time_ns) {
  return {{PERF_RECORD_SWITCH, misc, sizeof(Raw)}, 1, 1, time_ns};
}

TEST(ParseSwitchesTest, TheFirstRecordIsTheNewest) {
  const auto bytes = Bytes({Switch(0, 30), Switch(kPreempted, 20), Switch(kOut, 10)});
  const SwitchHistory history = ParseSwitches(bytes);
  ASSERT_TRUE(history.newest);
  EXPECT_EQ(history.newest->kind, SwitchRecord::Kind::kIn);
  EXPECT_EQ(history.newest->at_ns, 30u);
  EXPECT_EQ(history.preemptions, 1u);
  EXPECT_EQ(ParseSwitches(std::span(bytes).subspan(24)).newest->kind,
            SwitchRecord::Kind::kPreempted);
  EXPECT_EQ(ParseSwitches(std::span(bytes).subspan(48)).newest->kind, SwitchRecord::Kind::kOut);
}

TEST(ParseSwitchesTest, OtherRecordsArePassedOver) {
  Raw lost = Switch(0, 9);
  lost.header.type = PERF_RECORD_LOST;
  const auto bytes = Bytes({lost, Switch(kOut, 5)});
  EXPECT_EQ(ParseSwitches(bytes).newest->at_ns, 5u);
}

TEST(ParseSwitchesTest, StopsAtWhatIsNoRecord) {
  EXPECT_FALSE(ParseSwitches({}).newest);
  EXPECT_FALSE(ParseSwitches(std::vector<std::byte>(64)).newest) << "zeros";
  auto bytes = Bytes({Switch(kPreempted, 20), Switch(kPreempted, 10)});
  EXPECT_EQ(ParseSwitches(std::span(bytes).first(40)).preemptions, 1u) << "the second is cut";
  for (const uint16_t size : {0, 7, 25, 65535}) {
    std::memcpy(bytes.data() + offsetof(perf_event_header, size), &size, sizeof(size));
    EXPECT_EQ(ParseSwitches(bytes).preemptions, 0u) << size;
  }
}

class SwitchRecorderTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!WatchFromLastCpu()) GTEST_SKIP() << "one CPU alone";
    auto recorder = SwitchRecorder::Open(procfs_, getpid(), spinner_.tid());
    if (absl::IsPermissionDenied(recorder.status())) GTEST_SKIP() << recorder.status().message();
    ASSERT_TRUE(recorder.ok()) << recorder.status();
    recorder_ = *std::move(recorder);
  }
  bool Await(lockhost_run_state state) {
    return Eventually([&] { return recorder_->Sample()->state == state; });
  }
  static uint64_t InvoluntarySwitches(pid_t tid) {
    std::ifstream status("/proc/self/task/" + std::to_string(tid) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("nonvoluntary")) return std::stoull(line.substr(line.find(':') + 1));
    }
    return 0;
  }

  Procfs procfs_ = *Procfs::Open();
  Spinner spinner_{"plain"};
  std::unique_ptr<SwitchRecorder> recorder_;
};

TEST_F(SwitchRecorderTest, TellsWhatTheThreadDoesAndSinceWhen) {
  spinner_.Sleep(true);
  ASSERT_TRUE(Await(LOCKHOST_RUN_STATE_EXITED));
  const uint64_t before = MonotonicClock().now_ns();
  spinner_.Sleep(false);
  ASSERT_TRUE(Await(LOCKHOST_RUN_STATE_RUNNING));
  const auto sample = recorder_->Sample();
  if (sample->state == LOCKHOST_RUN_STATE_RUNNING) {
    EXPECT_GE(sample->since_ns.value_or(0), before);
    EXPECT_LE(sample->since_ns.value_or(0), MonotonicClock().now_ns());
  }
}

TEST_F(SwitchRecorderTest, CountsPreemptionsOfThreadsThatShareACpu) {
  Spinner rival("plain");
  ASSERT_TRUE(Await(LOCKHOST_RUN_STATE_PREEMPTED));
  const uint64_t counted = *recorder_->Sample()->preemptions;
  const uint64_t real = InvoluntarySwitches(spinner_.tid());
  ASSERT_TRUE(Eventually([&] { return *recorder_->Sample()->preemptions > counted + 20; }));
  spinner_.Sleep(true);
  ASSERT_TRUE(Await(LOCKHOST_RUN_STATE_EXITED));
  const uint64_t now = InvoluntarySwitches(spinner_.tid());
  // Between the two first reads a switch may have come.
  EXPECT_NEAR(static_cast<double>(*recorder_->Sample()->preemptions - counted),
              static_cast<double>(now - real), 1);
}

TEST_F(SwitchRecorderTest, ManySwitchesBetweenTwoLooksLeaveTheLastOneToBeSeen) {
  for (int i = 0; i < 2000; ++i) spinner_.Sleep(i % 2 == 0);
  spinner_.Sleep(true);
  EXPECT_TRUE(Await(LOCKHOST_RUN_STATE_EXITED));
  spinner_.Sleep(false);
  EXPECT_TRUE(Await(LOCKHOST_RUN_STATE_RUNNING));
}

TEST_F(SwitchRecorderTest, FollowsAThreadToItsEnd) {
  auto ending = std::make_unique<Spinner>("plain");
  auto recorder = SwitchRecorder::Open(procfs_, getpid(), ending->tid());
  ASSERT_TRUE(recorder.ok());
  ending.reset();
  EXPECT_FALSE((*recorder)->Sample().has_value());
  EXPECT_TRUE(absl::IsNotFound(SwitchRecorder::Open(procfs_, getpid(), 4'000'000).status()));
}

TEST_F(SwitchRecorderTest, AnotherUsersThreadIsRefusedWithTheReason) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to become another user";
  const pid_t root_thread = spinner_.tid();
  EXPECT_EQ(InChild(kNobody,
                    [&] {
                      const auto refused = SwitchRecorder::Open(procfs_, getppid(), root_thread);
                      return absl::IsPermissionDenied(refused.status()) ? 0 : 1;
                    }),
            0);
}

}  // namespace
}  // namespace lockhost::agent
