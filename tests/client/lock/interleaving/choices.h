// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_CHOICES_H_
#define LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_CHOICES_H_

#include <cstddef>
#include <vector>

namespace lockhost::interleaving {

// Enumerates all sequences of choices, where how many options a choice has may depend on
// those before it.
class Choices {
 public:
  // Below `options`, which is at least 1.
  int Choose(int options) {
    if (options == 1) return 0;
    if (next_ == taken_.size()) taken_.push_back({0, options});
    return taken_[next_++].option;
  }

  // Goes on to the next sequence; false if that was the last.
  bool Advance() {
    next_ = 0;
    while (!taken_.empty() && taken_.back().option + 1 == taken_.back().options) taken_.pop_back();
    if (taken_.empty()) return false;
    ++taken_.back().option;
    return true;
  }

 private:
  struct Taken {
    int option;
    int options;
  };
  std::vector<Taken> taken_;
  size_t next_ = 0;
};

}  // namespace lockhost::interleaving

#endif  // LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_CHOICES_H_
