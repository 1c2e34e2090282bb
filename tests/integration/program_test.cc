// SPDX-License-Identifier: Apache-2.0
//
// lockhostd as a program: flags, sockets, /metrics, the end.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/support/lockhostd_process.h"
#include "tests/integration/support/raw_http2.h"
#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

using testing::HasSubstr;

class LockhostdTest : public testing::Test {
 protected:
  void Start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--agent-socket=" + directory_.path() + "/agent.sock",
                                         "--run-dir=" + directory_.path() + "/run"});
    lockhostd_.Start(std::move(arguments));
  }

  void Configure(const std::string& text) { std::ofstream(config_) << text; }

  bool Exists(const std::string& file) const {
    return access((directory_.path() + "/run/" + file).c_str(), F_OK) == 0;
  }

  agent::TempDir directory_;
  const std::string config_ = directory_.path() + "/lockhostd.conf";
  LockhostdProcess lockhostd_;
};

TEST_F(LockhostdTest, ServesVmsAndMetricsAndLeavesNothingBehind) {
  TestAgent agent(directory_.path() + "/agent.sock", 1);
  agent.AddVm(7, 0);
  agent.SetState(7, 0, LOCKHOST_RUN_STATE_RUNNING);
  const int port = FreePort();
  Start({"--metrics-address=127.0.0.1:" + std::to_string(port), "--socket-mode=0600"});
  ASSERT_TRUE(Eventually([&] { return Exists("vm/7.sock"); }));
  {
    TestGuest guest(directory_.path() + "/run/vm/7.sock");
    ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
    struct stat status {};  // final by now: it is set after the socket is there
    ASSERT_EQ(stat((directory_.path() + "/run/vm/7.sock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    const std::string metrics = HttpGet(port, "/metrics");
    EXPECT_THAT(metrics, HasSubstr("lockhost_streams{vm=\"7\"} 1"));
    EXPECT_THAT(metrics, HasSubstr("lockhost_source_up{source=\"procfs\"} 1"));
    lockhostd_.Kill(SIGTERM);
    EXPECT_EQ(lockhostd_.AwaitExit(), 0);
    EXPECT_TRUE(Eventually([&] { return !guest.HasLease(); }));
  }
  EXPECT_FALSE(Exists("vm/7.sock"));
  EXPECT_FALSE(Exists("admin.sock"));
}

TEST_F(LockhostdTest, StartsBeforeItsAgent) {
  Start({"--metrics-address="});
  ASSERT_TRUE(Eventually([&] { return Exists("admin.sock"); }));
  TestAgent agent(directory_.path() + "/agent.sock", 1);
  agent.AddVm(7, 0);
  EXPECT_TRUE(Eventually([&] { return Exists("vm/7.sock"); }));
  lockhostd_.Kill(SIGINT);
  EXPECT_EQ(lockhostd_.AwaitExit(), 0);
}

TEST_F(LockhostdTest, TakesThePlaceOfOneThatWasKilled) {
  TestAgent agent(directory_.path() + "/agent.sock", 1);
  agent.AddVm(7, 0);
  Start({"--metrics-address="});
  ASSERT_TRUE(Eventually([&] { return Exists("vm/7.sock"); }));
  TestGuest guest(directory_.path() + "/run/vm/7.sock");
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  lockhostd_.Kill(SIGKILL);
  EXPECT_EQ(lockhostd_.AwaitExit(), -SIGKILL);
  EXPECT_TRUE(Exists("vm/7.sock"));  // stale
  Start({"--metrics-address="});
  EXPECT_TRUE(Eventually([&] { return guest.stats().connects == 2 && guest.HasLease(); }));
}

TEST_F(LockhostdTest, BadFlagsAreNamedAndRefused) {
  for (const char* flag : {"--socket-mode=rw", "--socket-mode=01777", "--lease=1ms",
                           "--heartbeat=3s", "--poll-interval=0s", "--max-streams=0"}) {
    Start({flag});
    EXPECT_EQ(lockhostd_.AwaitExit(), 2) << flag;
  }
}

TEST_F(LockhostdTest, AConfigurationThatIsBadAtTheStartIsAnError) {
  Configure("max_streams: 1\nlease_ms: 5\n");
  Start({"--config=" + config_});
  EXPECT_EQ(lockhostd_.AwaitExit(), 2);
  Start({"--config=" + directory_.path() + "/none"});
  EXPECT_EQ(lockhostd_.AwaitExit(), 1);
}

TEST_F(LockhostdTest, FlagsOverrideTheConfiguration) {
  Configure("socket_mode: '0666' metrics_address: ''");
  Start({"--config=" + config_, "--socket-mode=0600"});
  // It is born with another mode, and listens only when it has this one.
  EXPECT_TRUE(Eventually([&] {
    struct stat status {};
    return stat((directory_.path() + "/run/admin.sock").c_str(), &status) == 0 &&
           (status.st_mode & 0777) == 0600u;
  }));
}

TEST_F(LockhostdTest, SighupTakesOverGoodConfigurationsAndLeavesBadOnes) {
  TestAgent agent(directory_.path() + "/agent.sock", 1);
  agent.AddVm(7, 0);
  const int port = FreePort();
  Configure("connections: 1");
  Start({"--config=" + config_, "--metrics-address=127.0.0.1:" + std::to_string(port)});
  ASSERT_TRUE(Eventually([&] { return Exists("vm/7.sock"); }));
  const auto metric = [&](const std::string& text) {
    return HttpGet(port, "/metrics").find(text) != std::string::npos;
  };
  const auto two_can_connect = [&] {
    RawConnection first(directory_.path() + "/run/vm/7.sock");
    RawConnection second(directory_.path() + "/run/vm/7.sock");
    if (!Eventually(
            [&] { return metric("lockhost_connections{vm=\"7\"} 2") || second.Closed(); })) {
      return false;
    }
    return !second.Closed();
  };
  EXPECT_FALSE(two_can_connect());
  Configure("connections: many");
  lockhostd_.Kill(SIGHUP);
  EXPECT_TRUE(
      Eventually([&] { return metric("lockhost_config_reloads_total{result=\"refused\"} 1"); }));
  EXPECT_FALSE(two_can_connect());
  Configure("connections: 2");
  lockhostd_.Kill(SIGHUP);
  EXPECT_TRUE(
      Eventually([&] { return metric("lockhost_config_reloads_total{result=\"applied\"} 1"); }));
  EXPECT_TRUE(two_can_connect());
}

TEST_F(LockhostdTest, AnAddressThatIsTakenIsAnError) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(fd.get(), 1), 0);
  ASSERT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  Start({"--metrics-address=127.0.0.1:" + std::to_string(ntohs(address.sin_port))});
  EXPECT_EQ(lockhostd_.AwaitExit(), 1);
}

TEST_F(LockhostdTest, ADirectoryThatCannotBeMadeIsAnError) {
  Start({"--run-dir=/proc/no/such", "--metrics-address="});
  EXPECT_EQ(lockhostd_.AwaitExit(), 1);
}

}  // namespace
}  // namespace lockhost
