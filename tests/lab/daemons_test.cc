// SPDX-License-Identifier: Apache-2.0
//
// The lock while the product's own daemons come, go and crash beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/lab/harness/session.h"
#include "tests/lab/harness/subject_names.h"

namespace lockhost::lab {
namespace {

constexpr std::chrono::milliseconds kRunTime{300};

std::unique_ptr<Session> Up() {
  const uint32_t vcpus = 2 * std::max(2u, std::thread::hardware_concurrency());
  auto session = Session::Create(vcpus, BackendChoice::kAuto);
  EXPECT_TRUE(session.ok()) << session.status();
  if (!session.ok()) return nullptr;
  const absl::Status up = (*session)->StartDaemons();
  EXPECT_TRUE(up.ok()) << up;
  return up.ok() ? *std::move(session) : nullptr;
}

void ExpectSound(Session& session, Subject subject, const std::function<void()>& during = nullptr) {
  const auto result = session.Run({.subject = subject, .duration = kRunTime}, during);
  ASSERT_TRUE(result.ok()) << NameOf(subject) << ": " << result.status();
  EXPECT_GT(result->TotalAcquisitions(), 0u);
}

TEST(Daemons, HintsReachTheLock) {
  const auto session = Up();
  ASSERT_NE(session, nullptr);
  if (!session->has_oracle()) GTEST_SKIP() << "no oracle: " << session->source().reason;
  for (const Subject subject : {Subject::kLockhostGrpc, Subject::kLockhostDirect}) {
    const auto result = session->Run({.subject = subject, .duration = std::chrono::seconds(1)});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_GT(result->judged_ns, 0u) << NameOf(subject);
    // A message's way takes as long as the machine's other work lets it.
    const uint64_t bar = subject == Subject::kLockhostDirect ? result->judged_ns / 2 : 0;
    EXPECT_GT(result->agreed_ns, bar) << NameOf(subject);
  }
}

// Each daemon in turn is killed at a random moment of a run, and the runs after it go on
// without.
class CrashTest : public testing::TestWithParam<Daemon> {};

TEST_P(CrashTest, LeavesTheLockSound) {
  const auto session = Up();
  ASSERT_NE(session, nullptr);
  std::mt19937 random(std::random_device{}());
  for (const Subject subject : {Subject::kLockhostGrpc, Subject::kLockhostDirect}) {
    const auto begin = std::chrono::steady_clock::now();
    const std::chrono::milliseconds moment(random() % kRunTime.count());
    ExpectSound(*session, subject, [&] {
      if (std::chrono::steady_clock::now() >= begin + moment) session->daemons()->Kill(GetParam());
      std::this_thread::yield();
    });
    ExpectSound(*session, subject);
  }
}

std::string NameOfDaemon(const testing::TestParamInfo<Daemon>& info) {
  switch (info.param) {
    case Daemon::kAgent:
      return "Agent";
    case Daemon::kServer:
      return "Server";
    case Daemon::kGrpcGuest:
      return "GrpcGuest";
    case Daemon::kDirectGuest:
      return "DirectGuest";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(Daemons, CrashTest,
                         testing::Values(Daemon::kAgent, Daemon::kServer, Daemon::kGrpcGuest,
                                         Daemon::kDirectGuest),
                         NameOfDaemon);

TEST(Daemons, ComeAndGoBesideTheSameVm) {
  const auto session = Up();
  ASSERT_NE(session, nullptr);
  for (int i = 0; i < 2; ++i) {
    const absl::Status down = session->StopDaemons();
    ASSERT_TRUE(down.ok()) << down;
    ExpectSound(*session, Subject::kLockhostDirect);
    const absl::Status up = session->StartDaemons();
    ASSERT_TRUE(up.ok()) << up;
    ExpectSound(*session, Subject::kLockhostDirect);
  }
  EXPECT_TRUE(session->CheckDaemons().ok());
}

TEST(ParseCounters, TakesAFlatObject) {
  const auto counters = ParseCounters("{\"deltas\":12,\"messages\":40}\n");
  ASSERT_TRUE(counters.ok()) << counters.status();
  EXPECT_THAT(*counters, testing::UnorderedElementsAre(testing::Pair("deltas", 12u),
                                                       testing::Pair("messages", 40u)));
  EXPECT_TRUE(ParseCounters("{}").ok());
}

TEST(ParseCounters, RefusesAnythingElse) {
  for (const char* text : {"", "[]", "{\"a\"}", "{\"a\":x}", "{a:1}", "{\"a\":1", "{\"a\":{}}"}) {
    EXPECT_FALSE(ParseCounters(text).ok()) << text;
  }
}

}  // namespace
}  // namespace lockhost::lab
