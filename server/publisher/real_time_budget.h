// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_PUBLISHER_REAL_TIME_BUDGET_H_
#define LOCKHOST_SERVER_PUBLISHER_REAL_TIME_BUDGET_H_

#include <cstdint>

namespace lockhost::server {

// How long a thread whose work guests cause may be a real-time thread, which nothing ordinary on
// its CPU can displace: as long as it uses little. Pure; the caller gives the times (ns).
class RealTimeBudget {
 public:
  static constexpr uint64_t kWindowNs = 100'000'000;
  static constexpr uint64_t kMostNs = 25'000'000;  // of CPU time in a window
  static constexpr uint64_t kPauseNs = 1'000'000'000;

  // Whether it may be one now. `cpu_ns`: what it has used since it began.
  bool Allows(uint64_t cpu_ns, uint64_t now_ns) {
    const bool too_much = cpu_ns - window_cpu_ns_ > kMostNs;
    if (too_much) paused_until_ns_ = now_ns + kPauseNs;
    if (too_much || now_ns >= window_until_ns_) {
      window_until_ns_ = now_ns + kWindowNs;
      window_cpu_ns_ = cpu_ns;
    }
    return now_ns >= paused_until_ns_;
  }

 private:
  uint64_t window_until_ns_ = 0;
  uint64_t window_cpu_ns_ = 0;
  uint64_t paused_until_ns_ = 0;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_PUBLISHER_REAL_TIME_BUDGET_H_
