// SPDX-License-Identifier: Apache-2.0
//
// `lockhost top` on a terminal, which must be as before when it ends, however it ends.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/integration/support/cli_fixture.h"

namespace lockhost {
namespace {

// A terminal of 24 lines on which a program runs.
class Terminal {
 public:
  Terminal() {
    winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    int master = -1;
    int user_side = -1;
    EXPECT_EQ(openpty(&master, &user_side, nullptr, nullptr, &size), 0);
    master_.reset(master);
    user_side_.reset(user_side);
    tcgetattr(user_side, &before_);
  }
  ~Terminal() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  void Run(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    login_tty(user_side_.get());
    execv(argv[0], argv.data());
    _exit(127);
  }

  pid_t pid() const { return pid_; }
  void Type(char key) { EXPECT_EQ(write(master_.get(), &key, 1), 1); }
  // All that was printed so far.
  const std::string& Screen() {
    pollfd ready{master_.get(), POLLIN, 0};
    char buffer[4096];
    while (poll(&ready, 1, 0) > 0) {
      const ssize_t got = read(master_.get(), buffer, sizeof(buffer));
      if (got <= 0) break;
      screen_.append(buffer, static_cast<size_t>(got));
    }
    return screen_;
  }
  bool Shows(const std::string& text) {
    return Eventually([&] { return Screen().find(text) != std::string::npos; });
  }
  bool TakesKeysOneByOne() {
    termios now{};
    tcgetattr(user_side_.get(), &now);
    return (now.c_lflag & (ICANON | ECHO | ISIG)) == 0;
  }
  // As before the program ran.
  bool IsRestored() {
    termios now{};
    tcgetattr(user_side_.get(), &now);
    return now.c_lflag == before_.c_lflag && Screen().rfind(kLeave) > Screen().rfind(kEnter);
  }
  int AwaitExit() {
    int status = 0;
    const bool ended = Eventually([&] {
      Screen();  // a program that nobody reads from does not end
      return waitpid(pid_, &status, WNOHANG) == pid_;
    });
    if (!ended) return -1;
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  static constexpr char kEnter[] = "\x1b[?1049h";
  static constexpr char kLeave[] = "\x1b[?1049l";

  UniqueFd master_;
  UniqueFd user_side_;  // kept open: what was set on it stays to be seen
  termios before_{};
  std::string screen_;
  pid_t pid_ = 0;
};

class TopOnATerminalTest : public CliTest {
 protected:
  TopOnATerminalTest() {
    terminal_.Run({LOCKHOST_CLI_PROGRAM, "top", "--interval=100ms", "--socket=" + Socket()});
    EXPECT_TRUE(terminal_.Shows("1 VM, 2 vCPUs")) << terminal_.Screen();
    EXPECT_TRUE(terminal_.TakesKeysOneByOne());
  }
  Terminal terminal_;
};

TEST_F(TopOnATerminalTest, KeysEndItAndTheTerminalIsAsBefore) {
  terminal_.Type('x');  // means nothing
  terminal_.Type('q');
  EXPECT_EQ(terminal_.AwaitExit(), 0);
  EXPECT_TRUE(terminal_.IsRestored());
}

TEST_F(TopOnATerminalTest, InterruptKeyEndsItAndTheTerminalIsAsBefore) {
  terminal_.Type('\x03');
  EXPECT_EQ(terminal_.AwaitExit(), 0);
  EXPECT_TRUE(terminal_.IsRestored());
}

TEST_F(TopOnATerminalTest, SignalsEndItAndTheTerminalIsAsBefore) {
  kill(terminal_.pid(), SIGTERM);
  EXPECT_EQ(terminal_.AwaitExit(), 0);
  EXPECT_TRUE(terminal_.IsRestored());
}

TEST_F(TopOnATerminalTest, AnErrorIsReadableOnTheTerminalAsBefore) {
  host_.StopServer();
  EXPECT_EQ(terminal_.AwaitExit(), 1);
  EXPECT_TRUE(terminal_.IsRestored());
  EXPECT_GT(terminal_.Screen().rfind("lockhost: lockhostd"), terminal_.Screen().rfind("\x1b["));
}

}  // namespace
}  // namespace lockhost
