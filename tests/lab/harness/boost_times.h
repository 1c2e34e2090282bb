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

// What became of the boosts of some runs.
class BoostTimes {
 public:
  void Add(const agent::BoostRecord& record);

  size_t count() const { return count_; }
  // From the preemption to the CPU, of those that got one; 0: none did.
  uint64_t BackNs(double quantile) const;

 private:
  size_t count_ = 0;
  std::vector<uint64_t> back_ns_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_BOOST_TIMES_H_
