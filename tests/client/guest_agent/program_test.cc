// SPDX-License-Identifier: Apache-2.0
//
// lockhost-guestd as a program, without a host: flags, signals, exit codes.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "client/lock/attach.h"
#include "tests/client/guest_agent/page_file.h"

namespace lockhost::guest_agent {
namespace {

constexpr std::chrono::seconds kPatience{30};

class GuestdTest : public testing::Test {
 protected:
  ~GuestdTest() override {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  void Start(std::vector<std::string> arguments) {
    std::vector<std::string> all = {LOCKHOST_GUESTD_PROGRAM,
                                    "--host=unix:" + File("host.sock"),
                                    "--hint-page=" + File("hints"),
                                    "--report-page=" + File("reports"),
                                    "--slots=8",
                                    "--threads=off",  // its unit's filter knows no bpf()
                                    "--stats-file=" + File("stats.json")};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& argument : all) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    execv(argv[0], argv.data());
    _exit(127);
  }

  // -1 in time out, -signal when killed by one.
  int AwaitExit() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    int status = 0;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) return -1;
      poll(nullptr, 0, 2);
    }
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  // The bell is armed by the main thread, after it has installed the handlers of signals.
  bool AwaitReady() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      struct stat status {};
      if (stat(File("reports").c_str(), &status) == 0 && status.st_size > 0 &&
          ReportView(File("reports"))->bell_armed == 1) {
        return true;
      }
      poll(nullptr, 0, 2);
    }
    return false;
  }

  std::string File(const std::string& name) const { return directory_.File(name); }

  TestDirectory directory_;
  pid_t pid_ = 0;
};

TEST_F(GuestdTest, WithoutAHostItWaitsAndEndsCleanlyWhenTold) {
  Start({});
  ASSERT_TRUE(AwaitReady());
  EXPECT_EQ(ModeOf(File("hints")), 0644u);
  EXPECT_EQ(ModeOf(File("reports")), 0666u);
  kill(pid_, SIGUSR1);
  kill(pid_, SIGTERM);
  EXPECT_EQ(AwaitExit(), 0);
  EXPECT_EQ(HintView(File("hints"))->valid_until_ns, 0u);
  std::ifstream stats(File("stats.json"));
  const std::string json(std::istreambuf_iterator<char>(stats), {});
  EXPECT_NE(json.find("\"connects\":0"), std::string::npos) << json;
}

TEST_F(GuestdTest, DemandWithoutAHostNeitherHangsNorSpeaks) {
  Start({});
  ASSERT_TRUE(AwaitReady());
  const ReportView reports(File("reports"));
  lockhost_report_slot_at(reports.get(), 1)->awaited = 1;
  ASSERT_EQ(__atomic_exchange_n(&reports->bell_armed, 0, __ATOMIC_SEQ_CST), 1u);
  __atomic_fetch_add(&reports->bell, 1, __ATOMIC_SEQ_CST);
  kill(pid_, SIGUSR1);        // stands for the waiter's futex wake: the agent looks again
  ASSERT_TRUE(AwaitReady());  // demand has ended, the bell is armed again
  EXPECT_EQ(lockhost_report_slot_at(reports.get(), 1)->awaited, 0u);
  kill(pid_, SIGINT);
  EXPECT_EQ(AwaitExit(), 0);
}

TEST_F(GuestdTest, AShrunkReportPageEndsItWithAMessageNotAVictim) {
  Start({});
  ASSERT_TRUE(AwaitReady());
  ASSERT_EQ(truncate(File("reports").c_str(), 0), 0);
  kill(pid_, SIGUSR1);  // makes it look
  EXPECT_EQ(AwaitExit(), 75);
  EXPECT_EQ(HintView(File("hints"))->valid_until_ns, 0u);
}

// As the lock library gets them.
TEST_F(GuestdTest, PagesThatNobodyCanShrinkAreHandedOverAtASocket) {
  const std::string socket = File("pages.sock");
  Start({"--hint-page=", "--report-page=", "--page-socket=" + socket});
  lockhost_pages pages = {};
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (lock::MapPagesOfAgent(socket.c_str(), &pages) != LOCKHOST_STATUS_HINTS &&
         std::chrono::steady_clock::now() < deadline) {
    poll(nullptr, 0, 2);
  }
  ASSERT_EQ(pages.hint_slots, 8u);
  ASSERT_EQ(pages.report_slots, 8u);
  int hints = -1, reports = -1;
  ASSERT_TRUE(lock::ReceivePages(socket.c_str(), &hints, &reports)) << "and to the next";
  EXPECT_EQ(mmap(nullptr, 64, PROT_WRITE, MAP_SHARED, hints, 0), MAP_FAILED) << "to be read alone";
  for (const int page : {hints, reports}) {
    const std::string path = "/proc/self/fd/" + std::to_string(page);
    EXPECT_EQ(truncate(path.c_str(), 0), -1);
    EXPECT_EQ(truncate(path.c_str(), 1 << 20), -1);
    close(page);
  }
  EXPECT_FALSE(std::filesystem::exists(File("hints")));
  while (__atomic_load_n(&pages.reports->bell_armed, __ATOMIC_ACQUIRE) == 0) poll(nullptr, 0, 2);
  kill(pid_, SIGTERM);
  EXPECT_EQ(AwaitExit(), 0);
  EXPECT_FALSE(std::filesystem::exists(socket));
}

TEST_F(GuestdTest, ASocketThatCannotBeMadeIsAnError) {
  Start({"--hint-page=", "--report-page=", "--page-socket=/no/such/directory/socket"});
  EXPECT_EQ(AwaitExit(), 1);
  Start({"--report-page=", "--page-socket=" + File("pages.sock")});
  EXPECT_EQ(AwaitExit(), 2) << "one file alone";
}

TEST_F(GuestdTest, BadFlagsAreNamedAndRefused) {
  for (const char* flag : {"--path=ivshmem", "--slots=0", "--slots=1025", "--lease=0s",
                           "--backoff-first=-1s", "--backoff-last=2h", "--threads=maybe"}) {
    Start({flag});
    EXPECT_EQ(AwaitExit(), 2) << flag;
  }
}

TEST_F(GuestdTest, ANetworkIsSpokenToByTlsAlone) {
  const std::vector<std::string> tls = {"--tls-ca=a", "--tls-cert=b", "--tls-key=c"};
  for (const char* host : {"--host=ipv4:127.0.0.1:1", "--host=dns:///localhost:1", "--host=a:1"}) {
    Start({host});
    EXPECT_EQ(AwaitExit(), 2) << host;
    Start({host, tls[0], tls[1]});
    EXPECT_EQ(AwaitExit(), 2) << host;
  }
  Start(tls);  // --host is a unix socket
  EXPECT_EQ(AwaitExit(), 2);
}

TEST_F(GuestdTest, CertificatesThatAreNotThereYetAreWaitedFor) {
  Start({"--host=ipv4:127.0.0.1:1", "--tls-ca=" + File("a"), "--tls-cert=" + File("b"),
         "--tls-key=" + File("c")});
  ASSERT_TRUE(AwaitReady());
  kill(pid_, SIGTERM);
  EXPECT_EQ(AwaitExit(), 0);
}

TEST_F(GuestdTest, APageThatCannotBeMadeIsAnError) {
  Start({"--hint-page=/no/such/directory/hints"});
  EXPECT_EQ(AwaitExit(), 1);
}

}  // namespace
}  // namespace lockhost::guest_agent
