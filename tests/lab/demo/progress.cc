// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/demo/progress.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_format.h"

namespace lockhost::lab {
namespace {

constexpr size_t kColumns = 79;

}  // namespace

Progress::Progress(int steps)
    : steps_(steps),
      terminal_(isatty(STDERR_FILENO) == 1),
      begun_(std::chrono::steady_clock::now()) {}

void Progress::Phase(const std::string& what) {
  phase_ = what;
  if (terminal_) {
    Show(what);
  } else {
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begun_);
    std::fprintf(stderr, "[%3lld s] %s\n", static_cast<long long>(elapsed.count()), what.c_str());
  }
}

void Progress::Step(const std::string& what) {
  ++done_;
  if (!terminal_) return;
  const int percent = steps_ > 0 ? 100 * done_ / steps_ : 100;
  Show(absl::StrFormat("%3d%%  %s: %s", percent, phase_, what));
}

void Progress::Show(const std::string& text) {
  std::fprintf(stderr, "\r\033[K%s", text.substr(0, kColumns).c_str());
  std::fflush(stderr);
  shown_ = true;
}

void Progress::Clear() {
  if (shown_) std::fputs("\r\033[K", stderr);
  shown_ = false;
}

}  // namespace lockhost::lab
