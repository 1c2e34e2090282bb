// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_EVENTUALLY_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_EVENTUALLY_H_

#include <poll.h>

#include <chrono>

namespace lockhost::agent {

inline constexpr std::chrono::seconds kPatience{20};

// True as soon as `condition()` is; false if it has not become so in time.
template <typename Condition>
bool Eventually(Condition condition, std::chrono::milliseconds patience = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    poll(nullptr, 0, 1);
  }
  return true;
}

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_EVENTUALLY_H_
