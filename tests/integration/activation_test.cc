// SPDX-License-Identifier: Apache-2.0
//
// Sockets that a service manager made: descriptors handed to the real lockhostd, as systemd
// hands them over (sd_listen_fds(3)).
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "lockhost/v1/host.grpc.pb.h"
#include "server/service/listener.h"
#include "tests/integration/support/lockhostd_process.h"
#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

class ActivationTest : public testing::Test {
 protected:
  ActivationTest() : socket_(*server::Listener::OpenUnix(path_, 0600)) {}

  void Start(const LockhostdProcess::Inherited& inherited) {
    lockhostd_.Start({"--agent-socket=" + directory_.path() + "/agent.sock",
                      "--run-dir=" + directory_.path() + "/run", "--metrics-address="},
                     inherited);
  }

  // lockhostd itself says that it has no agent.
  static bool Answers(const std::string& path) {
    const auto stub = v1::HostService::NewStub(
        grpc::CreateChannel("unix:" + path, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.set_wait_for_ready(true);
    v1::ListVmsResponse response;
    return stub->ListVms(&context, {}, &response).error_message() == "the agent is not connected";
  }

  std::string OwnSocket() const { return directory_.path() + "/run/admin.sock"; }

  agent::TempDir directory_;
  const std::string path_ = directory_.path() + "/activated.sock";
  const server::Listener socket_;
  LockhostdProcess lockhostd_;
};

TEST_F(ActivationTest, TheAdminSocketServesAndStaysForTheNextOne) {
  Start({.names = "admin", .fds = {socket_.fd()}});
  EXPECT_TRUE(Answers(path_));
  EXPECT_NE(access(OwnSocket().c_str(), F_OK), 0);
  lockhostd_.Kill(SIGTERM);
  EXPECT_EQ(lockhostd_.AwaitExit(), 0);
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
  Start({.names = "admin", .fds = {socket_.fd()}});
  EXPECT_TRUE(Answers(path_));
}

TEST_F(ActivationTest, WhatWasMeantForAnotherProcessIsLeftAlone) {
  Start({.names = "admin", .fds = {socket_.fd()}, .pid = "1"});
  EXPECT_TRUE(Eventually([&] { return access(OwnSocket().c_str(), F_OK) == 0; }));
  EXPECT_TRUE(Answers(OwnSocket()));
}

TEST_F(ActivationTest, AVsockListenerMustBeOne) {
  Start({.names = "vsock", .fds = {socket_.fd()}});
  EXPECT_EQ(lockhostd_.AwaitExit(), 2);
}

TEST_F(ActivationTest, WhatDoesNotListenIsRefused) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd one(fds[0]);
  const UniqueFd other(fds[1]);
  Start({.names = "admin", .fds = {one.get()}});
  EXPECT_EQ(lockhostd_.AwaitExit(), 2);
}

TEST_F(ActivationTest, NamesThatMeanNothingHereAreRefused) {
  for (const char* names : {"vm", "", "ADMIN", "admin.sock"}) {
    Start({.names = names, .fds = {socket_.fd()}});
    EXPECT_EQ(lockhostd_.AwaitExit(), 2) << names;
  }
  Start({.names = "admin:admin", .fds = {socket_.fd(), socket_.fd()}});
  EXPECT_EQ(lockhostd_.AwaitExit(), 2);
}

TEST_F(ActivationTest, AnEnvironmentThatPromisesWhatIsNotThereIsRefused) {
  for (const char* count : {"2", "-1", "x", "99999999999999999999", "1 "}) {
    Start({.names = "admin", .fds = {socket_.fd()}, .count = count});
    EXPECT_EQ(lockhostd_.AwaitExit(), 2) << count;
  }
  // As many names as descriptors are promised; the second descriptor is not open.
  Start({.names = "admin:vsock", .fds = {socket_.fd()}, .count = "2"});
  EXPECT_EQ(lockhostd_.AwaitExit(), 2);
}

}  // namespace
}  // namespace lockhost
