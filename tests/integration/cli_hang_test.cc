// SPDX-License-Identifier: Apache-2.0
//
// The operator's client and program when lockhostd hangs.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>

#include "client/cli/host_client.h"
#include "tests/integration/support/cli_fixture.h"
#include "tests/integration/support/lockhostd_process.h"

namespace lockhost {
namespace {

// lockhostd as a process, which can be made to hang.
class HangingServerTest : public testing::Test {
 protected:
  HangingServerTest() : agent_(directory_.path() + "/agent.sock", 1) {
    agent_.AddVm(7, 0);
    agent_.SetState(7, 0, LOCKHOST_RUN_STATE_RUNNING);
    server_.Start({"--agent-socket=" + directory_.path() + "/agent.sock",
                   "--run-dir=" + directory_.path() + "/run", "--metrics-address="});
    EXPECT_TRUE(Eventually(
        [&] { return access((directory_.path() + "/run/vm/7.sock").c_str(), F_OK) == 0; }));
    auto client = cli::HostClient::Connect(Socket(), kDeadline);
    EXPECT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  std::string Socket() const { return directory_.path() + "/run/admin.sock"; }
  void Hang() {
    server_.Kill(SIGSTOP);
    int status = 0;
    EXPECT_EQ(waitpid(server_.pid(), &status, WUNTRACED), server_.pid());
    EXPECT_TRUE(WIFSTOPPED(status));
  }

  static constexpr std::chrono::milliseconds kDeadline{1000};
  static constexpr std::chrono::milliseconds kInterval{100};
  agent::TempDir directory_;
  TestAgent agent_;
  LockhostdProcess server_;
  std::unique_ptr<cli::HostClient> client_;
};

TEST_F(HangingServerTest, WatchFailsWhenTheFirstMessageDoesNotCome) {
  Hang();
  int messages = 0;
  const absl::Status ended = client_->Watch(7, kInterval, [&](const auto&) { return ++messages; });
  EXPECT_TRUE(absl::IsDeadlineExceeded(ended)) << ended;
  EXPECT_EQ(messages, 0);
  EXPECT_TRUE(absl::IsDeadlineExceeded(client_->ListVms(false).status()));
}

TEST_F(HangingServerTest, WatchFailsWhenAFurtherMessageDoesNotCome) {
  int messages = 0;
  const absl::Status ended = client_->Watch(7, kInterval, [&](const auto&) {
    if (++messages == 2) Hang();
    return true;
  });
  EXPECT_TRUE(absl::IsDeadlineExceeded(ended)) << ended;
  EXPECT_GE(messages, 2);
}

TEST_F(HangingServerTest, AStreamThatGoesOnOutlivesTheDeadline) {
  const auto start = std::chrono::steady_clock::now();
  const auto more = [&](const auto&) {
    return std::chrono::steady_clock::now() - start < 2 * kDeadline;
  };
  EXPECT_TRUE(client_->Watch(7, kInterval, more).ok());
  EXPECT_GE(std::chrono::steady_clock::now() - start, 2 * kDeadline);
}

TEST_F(HangingServerTest, CommandsSayThatNobodyAnswers) {
  Hang();
  for (const char* command : {"vms", "watch 7", "top"}) {
    const Outcome outcome = RunCli(std::string(command) + " --deadline=200ms --socket=" + Socket());
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.output, "lockhost: lockhostd does not answer in time\n");
  }
}

}  // namespace
}  // namespace lockhost
