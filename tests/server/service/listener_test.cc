// SPDX-License-Identifier: Apache-2.0
#include "server/service/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "tests/agent/support/temp_dir.h"

namespace lockhost::server {
namespace {

UniqueFd ConnectTo(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fd.reset();
  return fd;
}

class ListenerTest : public testing::Test {
 protected:
  agent::TempDir directory_;
  const std::string path_ = directory_.path() + "/a.sock";
};

TEST_F(ListenerTest, HasTheModeAndTakesAStalePlace) {
  { const UniqueFd stale(open(path_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0777)); }
  auto listener = Listener::OpenUnix(path_, 0640);
  ASSERT_TRUE(listener.ok()) << listener.status();
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST_F(ListenerTest, ConnectionsAreNonBlocking) {
  auto listener = Listener::OpenUnix(path_, 0600);
  ASSERT_TRUE(listener.ok());
  EXPECT_FALSE(listener->Accept().valid());
  EXPECT_EQ(errno, EAGAIN);
  const UniqueFd peer = ConnectTo(path_);
  const UniqueFd connection = listener->Accept();
  ASSERT_TRUE(connection.valid());
  EXPECT_NE(fcntl(connection.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(ListenerTest, RemovesItsFile) {
  { auto listener = Listener::OpenUnix(path_, 0600); }
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(ListenerTest, LeavesTheFileOfTheOneThatTookItsPlace) {
  auto first = Listener::OpenUnix(path_, 0600);
  ASSERT_TRUE(first.ok());
  const auto second = Listener::OpenUnix(path_, 0600);
  ASSERT_TRUE(second.ok());
  first = absl::CancelledError();
  EXPECT_TRUE(ConnectTo(path_).valid());
}

TEST_F(ListenerTest, SaysWhatIsWrong) {
  EXPECT_TRUE(
      absl::IsInvalidArgument(Listener::OpenUnix("/tmp/" + std::string(200, 'x'), 0600).status()));
  EXPECT_FALSE(Listener::OpenUnix(directory_.path() + "/no/dir.sock", 0600).ok());
  mkdir(path_.c_str(), 0700);
  EXPECT_FALSE(Listener::OpenUnix(path_, 0600).ok());  // a directory is in the way
}

TEST_F(ListenerTest, AnInheritedSocketServesAndItsFileStays) {
  {
    auto made = Listener::OpenUnix(path_, 0600);
    ASSERT_TRUE(made.ok());
    auto adopted = Listener::Adopt(UniqueFd(fcntl(made->fd(), F_DUPFD_CLOEXEC, 0)), AF_UNIX);
    ASSERT_TRUE(adopted.ok()) << adopted.status();
    const UniqueFd peer = ConnectTo(path_);
    EXPECT_TRUE(adopted->Accept().valid());
    adopted = absl::CancelledError();
    EXPECT_EQ(access(path_.c_str(), F_OK), 0);
  }
}

TEST_F(ListenerTest, WhatIsNoListeningSocketOfTheFamilyIsNotAdopted) {
  EXPECT_TRUE(absl::IsInvalidArgument(
      Listener::Adopt(UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), AF_UNIX).status()));
  EXPECT_FALSE(Listener::Adopt(UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)), AF_UNIX).ok());
  const auto made = Listener::OpenUnix(path_, 0600);
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(
      Listener::Adopt(UniqueFd(fcntl(made->fd(), F_DUPFD_CLOEXEC, 0)), AF_VSOCK).status()));
}

TEST_F(ListenerTest, TcpAddressesAreInFigures) {
  EXPECT_TRUE(Listener::OpenTcp("127.0.0.1:0").ok());
  const auto ipv6 = Listener::OpenTcp("[::1]:0");
  EXPECT_TRUE(ipv6.ok() || !absl::IsInvalidArgument(ipv6.status())) << ipv6.status();
  for (const char* address :
       {"", ":", "9465", ":9465", "127.0.0.1", "127.0.0.1:", "::1:9465", "[127.0.0.1]:9465",
        "localhost:9465", "127.0.0.1:http", "127.0.0.1:99999999"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Listener::OpenTcp(address).status())) << address;
  }
}

TEST_F(ListenerTest, AKernelWithoutVsockIsNamed) {
  const auto listener = Listener::OpenVsock(47'114);
  if (listener.ok()) GTEST_SKIP() << "this kernel has vsock";
  EXPECT_TRUE(absl::IsUnimplemented(listener.status())) << listener.status();
  EXPECT_NE(listener.status().message().find("AF_VSOCK"), std::string::npos);
}

}  // namespace
}  // namespace lockhost::server
