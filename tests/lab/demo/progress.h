// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_DEMO_PROGRESS_H_
#define LOCKHOST_TESTS_LAB_DEMO_PROGRESS_H_

#include <chrono>
#include <string>

namespace lockhost::lab {

// Says on stderr how far things are: one line that is rewritten on a terminal, a line
// at each new phase otherwise. Not thread-safe.
class Progress {
 public:
  // `steps`: how many Step() calls there will be in all.
  explicit Progress(int steps);
  ~Progress() { Clear(); }

  void Phase(const std::string& what);
  void Step(const std::string& what);
  // Takes the line away, so that other output has the terminal to itself.
  void Clear();

 private:
  void Show(const std::string& text);

  const int steps_;
  const bool terminal_;
  const std::chrono::steady_clock::time_point begun_;
  int done_ = 0;
  bool shown_ = false;
  std::string phase_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_DEMO_PROGRESS_H_
