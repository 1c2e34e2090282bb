// SPDX-License-Identifier: Apache-2.0
//
// lockhost-guestd as a program that follows threads, by its own flag and not.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "client/lock/lockhost.h"
#include "tests/client/guest_agent/page_file.h"
#include "tests/client/lock/library_pages.h"

namespace lockhost::guest_agent {
namespace {

class GuestdThreadsTest : public testing::Test {
 protected:
  GuestdThreadsTest() { setenv("LOCKHOST_PAGE_SOCKET", socket_.c_str(), 1); }
  ~GuestdThreadsTest() override {
    if (pid_ > 0) Stop();
  }

  void Start(const char* threads) {
    const std::string host = "--host=unix:" + directory_.File("host.sock");
    const std::string socket = "--page-socket=" + socket_;
    const std::string stats = "--stats-file=" + directory_.File("stats.json");
    pid_ = fork();
    if (pid_ == 0) {
      execl(LOCKHOST_GUESTD_PROGRAM, LOCKHOST_GUESTD_PROGRAM, host.c_str(), socket.c_str(),
            stats.c_str(), "--slots=8", threads, nullptr);
      _exit(127);
    }
    for (int i = 0; i < 15'000 && access(socket_.c_str(), F_OK) != 0; ++i) poll(nullptr, 0, 2);
  }
  // Its statistics.
  std::string Stop() {
    kill(pid_, SIGTERM);
    int status = -1;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    EXPECT_EQ(status, 0);
    pid_ = 0;
    std::ifstream stats(directory_.File("stats.json"));
    return std::string(std::istreambuf_iterator<char>(stats), {});
  }
  // What a process says that attaches.
  void ExpectDescribed(const std::string& wanted) {
    InChild([&wanted] {
      lockhost_attach();
      std::array<char, 400> text{};
      lockhost_describe(text.data(), text.size());
      EXPECT_NE(std::string(text.data()).find(wanted), std::string::npos) << text.data();
    });
  }

  TestDirectory directory_;
  const std::string socket_ = directory_.File("pages.sock");
  pid_t pid_ = 0;
};

TEST_F(GuestdThreadsTest, ItFollowsThemWhereItMay) {
  if (geteuid() != 0) GTEST_SKIP() << "not root";
  Start("--threads=auto");
  ExpectDescribed("; threads known");
  ExpectDescribed("; threads known");
  const std::string stats = Stop();
  EXPECT_NE(stats.find("\"threads_processes\":"), std::string::npos) << stats;
  EXPECT_NE(stats.find("\"threads_granted\":2"), std::string::npos) << stats;
}

TEST_F(GuestdThreadsTest, OffIsOffAndApplicationsKnowWhy) {
  Start("--threads=off");
  ExpectDescribed("threads not known: lockhost-guestd runs with --threads=off");
  EXPECT_NE(Stop().find("\"threads_granted\":0"), std::string::npos);
}

}  // namespace
}  // namespace lockhost::guest_agent
