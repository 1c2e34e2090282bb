// SPDX-License-Identifier: Apache-2.0
//
// Pages that outlive lockhost-guestd: the test is the service manager that keeps its
// descriptors, as systemd does (FDSTORE of sd_notify(3), sd_listen_fds(3)).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "client/lock/attach.h"
#include "common/unique_fd.h"
#include "tests/client/guest_agent/page_file.h"

namespace lockhost::guest_agent {
namespace {

constexpr int kPatienceMs = 30'000;
constexpr int kFirstInherited = 3;  // SD_LISTEN_FDS_START

class KeptPagesTest : public testing::Test {
 protected:
  void SetUp() override {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    notified_path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    notified_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(notified_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~KeptPagesTest() override { Kill(); }

  void Start() {
    const std::string host = "--host=unix:" + directory_.File("host.sock");
    const std::string socket = "--page-socket=" + socket_path_;
    pid_ = fork();
    if (pid_ != 0) return;
    setenv("NOTIFY_SOCKET", notified_path_.c_str(), 1);
    HandOver();
    execl(LOCKHOST_GUESTD_PROGRAM, LOCKHOST_GUESTD_PROGRAM, host.c_str(), socket.c_str(),
          "--hint-page=", "--report-page=", "--slots=8", "--threads=off", nullptr);
    _exit(127);
  }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  // Waits for the agent to give one descriptor to be kept.
  void Keep() {
    pollfd readable{notified_.get(), POLLIN, 0};
    ASSERT_EQ(poll(&readable, 1, kPatienceMs), 1);
    char text[256] = {};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec bytes{text, sizeof(text) - 1};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    ASSERT_GT(recvmsg(notified_.get(), &message, MSG_CMSG_CLOEXEC), 0);
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    ASSERT_TRUE(header != nullptr && header->cmsg_type == SCM_RIGHTS) << text;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    ASSERT_NE(std::strstr(text, "FDSTORE=1"), nullptr) << text;
    const char* name = std::strstr(text, "FDNAME=");
    ASSERT_NE(name, nullptr) << text;
    name += std::strlen("FDNAME=");
    kept_[std::string(name, std::strcspn(name, "\n"))].reset(fd);
  }

  // The pages that the agent hands to applications, as soon as it does.
  std::pair<UniqueFd, UniqueFd> Pages() {
    for (int i = 0; i < kPatienceMs / 2; ++i) {
      int hints = -1;
      int reports = -1;
      if (lock::ReceivePages(socket_path_.c_str(), &hints, &reports)) {
        return {UniqueFd(hints), UniqueFd(reports)};
      }
      poll(nullptr, 0, 2);
    }
    return {};
  }

  static ino_t InodeOf(const UniqueFd& fd) {
    struct stat facts {};
    return fstat(fd.get(), &facts) == 0 ? facts.st_ino : 0;
  }

  TestDirectory directory_;
  const std::string notified_path_ = directory_.File("notify");
  const std::string socket_path_ = directory_.File("pages.sock");
  UniqueFd notified_;
  std::map<std::string, UniqueFd> kept_;  // by FDNAME
  pid_t pid_ = 0;

 private:
  // In the child: what is kept becomes the first inherited descriptors.
  void HandOver() {
    if (kept_.empty()) return;
    std::string names;
    std::vector<int> high;
    for (const auto& [name, fd] : kept_) {
      names += (names.empty() ? "" : ":") + name;
      high.push_back(fcntl(fd.get(), F_DUPFD, 100));
    }
    int to = kFirstInherited;
    for (const int fd : high) dup2(fd, to++);
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", std::to_string(high.size()).c_str(), 1);
    setenv("LISTEN_FDNAMES", names.c_str(), 1);
  }
};

TEST_F(KeptPagesTest, AnAgentThatWasKilledComesBackToThePagesThatApplicationsHaveMapped) {
  Start();
  ASSERT_NO_FATAL_FAILURE(Keep());
  ASSERT_NO_FATAL_FAILURE(Keep());
  ASSERT_EQ(kept_.size(), 2u);
  const auto before = Pages();
  ASSERT_TRUE(before.first.valid());
  Kill();
  Start();
  const auto after = Pages();
  ASSERT_TRUE(after.first.valid());
  EXPECT_EQ(InodeOf(after.first), InodeOf(before.first));
  EXPECT_EQ(InodeOf(after.second), InodeOf(before.second));
  pollfd readable{notified_.get(), POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, 0), 0) << "there is nothing new to be kept";
}

TEST_F(KeptPagesTest, MemoryThatCanBeShrunkIsNotTakenOver) {
  Start();
  ASSERT_NO_FATAL_FAILURE(Keep());
  ASSERT_NO_FATAL_FAILURE(Keep());
  Kill();
  for (auto& [name, fd] : kept_) {
    fd.reset(open(directory_.File(name).c_str(), O_CREAT | O_RDWR, 0600));
  }
  Start();
  ASSERT_NO_FATAL_FAILURE(Keep());
  ASSERT_NO_FATAL_FAILURE(Keep());
  const auto pages = Pages();
  ASSERT_TRUE(pages.first.valid());
  EXPECT_EQ(InodeOf(pages.first), InodeOf(kept_.at("lockhost-hints"))) << "its new ones";
  EXPECT_EQ(InodeOf(pages.second), InodeOf(kept_.at("lockhost-reports")));
}

}  // namespace
}  // namespace lockhost::guest_agent
