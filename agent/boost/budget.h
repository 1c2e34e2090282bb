// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_BUDGET_H_
#define LOCKHOST_AGENT_BOOST_BUDGET_H_

#include <algorithm>
#include <cstdint>

namespace lockhost::agent {

// Boosted time that may still be used: a token bucket that fills by `share` ns each ns, up
// to `burst_ns`. It may be overdrawn, for how long a boost takes is known at its end. Full
// at first. Pure; not thread-safe.
class BoostBudget {
 public:
  // REQUIRES: 0 < share, 0 < burst_ns < 2^53.
  BoostBudget(double share, uint64_t burst_ns)
      : share_(share),
        burst_ns_(static_cast<double>(burst_ns)),
        left_ns_(static_cast<double>(burst_ns)) {}

  // Negative: overdrawn.
  double left_ns(uint64_t now_ns) {
    if (now_ns > filled_at_ns_) {
      const double filled = share_ * static_cast<double>(now_ns - filled_at_ns_);
      left_ns_ = std::min(burst_ns_, left_ns_ + filled);
      filled_at_ns_ = now_ns;
    }
    return left_ns_;
  }
  double share() const { return share_; }
  uint64_t burst_ns() const { return static_cast<uint64_t>(burst_ns_); }
  // From now on. REQUIRES: 0 < share.
  void SetShare(uint64_t now_ns, double share) {
    left_ns(now_ns);
    share_ = share;
  }
  void Take(uint64_t now_ns, uint64_t used_ns) {
    left_ns(now_ns);
    left_ns_ -= static_cast<double>(used_ns);
  }
  // When `need_ns` will be there if nothing is taken meanwhile; now_ns if they are.
  uint64_t FilledAt(uint64_t now_ns, uint64_t need_ns) {
    const double missing = std::min(static_cast<double>(need_ns), burst_ns_) - left_ns(now_ns);
    return missing <= 0 ? now_ns : now_ns + static_cast<uint64_t>(missing / share_) + 1;
  }

 private:
  double share_;
  double burst_ns_;
  double left_ns_;
  uint64_t filled_at_ns_ = 0;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_BUDGET_H_
