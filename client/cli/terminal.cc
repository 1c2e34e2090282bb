// SPDX-License-Identifier: Apache-2.0
#include "client/cli/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "common/termination.h"

namespace lockhost::cli {
namespace {

constexpr size_t kUsualHeight = 24;
constexpr char kEnter[] = "\x1b[?1049h\x1b[?25l";  // other screen, no cursor
constexpr char kLeave[] = "\x1b[?25h\x1b[?1049l";

void Put(std::string_view text) {
  fwrite(text.data(), 1, text.size(), stdout);
  fflush(stdout);
}

bool EndsBy(char key) { return key == 'q' || key == 'Q' || key == 3 || key == 4; }

}  // namespace

bool OnTerminal() { return isatty(STDOUT_FILENO) != 0; }

absl::StatusOr<std::unique_ptr<Screen>> Screen::Open() {
  auto termination = TerminationFd();
  if (!termination.ok()) return termination.status();
  termios before{};
  if (tcgetattr(STDIN_FILENO, &before) != 0) {
    return absl::ErrnoToStatus(errno, "standard input is no terminal (use --count=N)");
  }
  termios raw = before;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
  if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return absl::ErrnoToStatus(errno, "tcsetattr");
  Put(kEnter);
  return std::unique_ptr<Screen>(new Screen(*std::move(termination), before));
}

Screen::~Screen() {
  Put(kLeave);
  tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

size_t Screen::height() const {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return kUsualHeight;
  return size.ws_row;
}

// Overwrites in place and erases what is left over: a cleared screen would flicker. No
// newline after the last line, which would scroll.
void Screen::Show(const std::vector<std::string>& lines) {
  std::string frame = "\x1b[H";
  for (size_t i = 0; i < lines.size(); ++i) {
    absl::StrAppend(&frame, i == 0 ? "" : "\r\n", lines[i], "\x1b[K");
  }
  Put(frame + "\x1b[J");
}

bool Screen::Wait(std::chrono::milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return true;
    pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {termination_.get(), POLLIN, 0}};
    // A changed window size interrupts poll(): time for another frame.
    if (poll(ready, 2, static_cast<int>(left.count())) < 0) return errno == EINTR;
    if (ready[1].revents != 0) return false;
    if (ready[0].revents == 0) continue;
    char key = 0;
    if (read(STDIN_FILENO, &key, 1) != 1 || EndsBy(key)) return false;
  }
}

}  // namespace lockhost::cli
