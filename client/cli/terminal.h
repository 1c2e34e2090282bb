// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_TERMINAL_H_
#define LOCKHOST_CLIENT_CLI_TERMINAL_H_

#include <termios.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::cli {

// Standard output is a terminal.
bool OnTerminal();

// The whole screen of a terminal, keys read one by one; what was there before comes back
// at the end, also after SIGINT and SIGTERM, which end Wait(). One at a time.
class Screen {
 public:
  // REQUIRES: OnTerminal(); no thread has been made yet.
  static absl::StatusOr<std::unique_ptr<Screen>> Open();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  size_t height() const;
  void Show(const std::vector<std::string>& lines);
  // False when the user wants to end: q, ^C, ^D, a signal.
  bool Wait(std::chrono::milliseconds time);

 private:
  Screen(UniqueFd termination, const termios& before)
      : termination_(std::move(termination)), before_(before) {}

  UniqueFd termination_;
  termios before_;
};

}  // namespace lockhost::cli

#endif  // LOCKHOST_CLIENT_CLI_TERMINAL_H_
