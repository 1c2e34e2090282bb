// SPDX-License-Identifier: Apache-2.0
#include "server/service/unix_listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

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

class UnixListenerTest : public testing::Test {
 protected:
  agent::TempDir directory_;
  const std::string path_ = directory_.path() + "/a.sock";
};

TEST_F(UnixListenerTest, HasTheModeAndTakesAStalePlace) {
  { const UniqueFd stale(open(path_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0777)); }
  auto listener = UnixListener::Open(path_, 0640, 4);
  ASSERT_TRUE(listener.ok()) << listener.status();
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST_F(UnixListenerTest, ConnectionsAreNonBlockingAndBounded) {
  auto listener = UnixListener::Open(path_, 0600, 2);
  ASSERT_TRUE(listener.ok());
  EXPECT_EQ(listener->Accept(), -1);
  const UniqueFd a = ConnectTo(path_);
  const UniqueFd b = ConnectTo(path_);
  const UniqueFd c = ConnectTo(path_);
  UniqueFd first(listener->Accept());
  const UniqueFd second(listener->Accept());
  ASSERT_TRUE(first.valid());
  ASSERT_TRUE(second.valid());
  EXPECT_NE(fcntl(first.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(listener->Accept(), -1);
  EXPECT_EQ(listener->refused(), 1u);
  char byte;
  EXPECT_EQ(read(c.get(), &byte, 1), 0);  // closed at once
  first.reset();                          // as gRPC does some day
  const UniqueFd d = ConnectTo(path_);
  const UniqueFd third(listener->Accept());
  EXPECT_TRUE(third.valid());
}

TEST_F(UnixListenerTest, RemovesItsFile) {
  { auto listener = UnixListener::Open(path_, 0600, 2); }
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(UnixListenerTest, SaysWhatIsWrong) {
  EXPECT_TRUE(absl::IsInvalidArgument(
      UnixListener::Open("/tmp/" + std::string(200, 'x'), 0600, 2).status()));
  EXPECT_FALSE(UnixListener::Open(directory_.path() + "/no/dir.sock", 0600, 2).ok());
  mkdir(path_.c_str(), 0700);
  EXPECT_FALSE(UnixListener::Open(path_, 0600, 2).ok());  // a directory is in the way
}

}  // namespace
}  // namespace lockhost::server
