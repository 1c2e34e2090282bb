// SPDX-License-Identifier: Apache-2.0
//
// Who may speak on the admin socket: processes of other users and groups against the real
// lockhostd.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "tests/agent/support/other_user.h"
#include "tests/integration/support/lockhostd_process.h"
#include "tests/integration/support/raw_http2.h"
#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

using testing::HasSubstr;

// Of Debian's base-passwd, in every installation.
constexpr char kGroup[] = "daemon";
constexpr gid_t kGroupId = 1;

enum Answer { kServed = 10, kClosed = 11, kDenied = 12, kOther = 13 };

// What this process comes to see at the socket: the server's first frame, the end, or EACCES.
Answer Ask(const std::string& path) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return errno == EACCES ? kDenied : kOther;
  }
  const std::string hello = ClientHello();
  send(fd.get(), hello.data(), hello.size(), MSG_NOSIGNAL);
  char byte;
  const ssize_t got = recv(fd.get(), &byte, 1, 0);
  return got == 1 ? kServed : kClosed;
}

// The same as user nobody, in `group` besides its own.
int AskAsNobody(const std::string& path, gid_t group) {
  return agent::InChild(0, [&] {
    if (setgroups(1, &group) != 0 || setgid(agent::kNobody) != 0 || setuid(agent::kNobody) != 0) {
      return 125;
    }
    return static_cast<int>(Ask(path));
  });
}

class AdminSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
    // Nothing but the socket itself is to keep anybody out.
    ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
    ASSERT_EQ(mkdir((directory_.path() + "/run").c_str(), 0755), 0);
    lockhostd_.Start({"--agent-socket=" + directory_.path() + "/agent.sock",
                      "--run-dir=" + directory_.path() + "/run", "--socket-mode=0666",
                      std::string("--admin-group=") + kGroup,
                      "--metrics-address=127.0.0.1:" + std::to_string(port_)});
    ASSERT_TRUE(Eventually([&] { return HttpGet(port_, "/metrics") != ""; }));
  }

  agent::TempDir directory_;
  const std::string path_ = directory_.path() + "/run/admin.sock";
  const int port_ = FreePort();
  LockhostdProcess lockhostd_;
};

TEST_F(AdminSocketTest, IsOpenToItsOwnerAndTheGroupWhateverTheMode) {
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  EXPECT_EQ(status.st_gid, kGroupId);
  EXPECT_EQ(Ask(path_), kServed);
  EXPECT_EQ(AskAsNobody(path_, kGroupId), kServed);
  EXPECT_THAT(HttpGet(port_, "/metrics"), HasSubstr("lockhost_admin_refused_total 0"));
}

TEST_F(AdminSocketTest, IsClosedToOthers) {
  EXPECT_EQ(AskAsNobody(path_, agent::kNobody), kDenied);
}

TEST_F(AdminSocketTest, IsClosedToOthersThoughSomebodyOpenedTheFile) {
  ASSERT_EQ(chmod(path_.c_str(), 0666), 0);
  EXPECT_EQ(AskAsNobody(path_, agent::kNobody), kClosed);
  EXPECT_THAT(HttpGet(port_, "/metrics"), HasSubstr("lockhost_admin_refused_total 1"));
  EXPECT_EQ(AskAsNobody(path_, kGroupId), kServed);
}

}  // namespace
}  // namespace lockhost
