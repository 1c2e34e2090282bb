// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_LAB_HARNESS_BOOST_TIMES_H_
#define LOCKHOST_TESTS_LAB_HARNESS_BOOST_TIMES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/table/boost_log.h"

namespace lockhost::lab {

// The agent's log of boosts, as lockhostd gets it. FAILED_PRECONDITION: it boosts nobody.
absl::StatusOr<std::unique_ptr<agent::BoostLogReader>> OpenBoostLog(
    const std::string& agent_socket);

// Since when a boosted holder had no CPU and was waited for. Of one that a guest named by a
// message the agent knows when it was preempted: if a waiter rang the guest agent's bell since,
// nobody had waited for it before. `rings`: their times, in order. Pure.
uint64_t AwaitedSinceNs(const agent::BoostRecord& record, const std::vector<uint64_t>& rings);

// What became of the boosts of some runs.
class BoostTimes {
 public:
  // `rings`: as AwaitedSinceNs().
  void Add(const agent::BoostRecord& record, const std::vector<uint64_t>& rings);

  size_t count() const { return count_; }
  // From the preemption to the CPU, of those that got one; 0: none did.
  uint64_t BackNs(double quantile) const { return Quantile(back_ns_, quantile); }
  // The part of it before the booster acted: it was to be told and to get a CPU itself.
  uint64_t ToldNs(double quantile) const { return Quantile(told_ns_, quantile); }

 private:
  static uint64_t Quantile(std::vector<uint64_t> values, double quantile);

  size_t count_ = 0;
  std::vector<uint64_t> back_ns_, told_ns_;  // of the same boosts
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_BOOST_TIMES_H_
