// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_BOOST_VM_UNDER_TEST_H_
#define LOCKHOST_TESTS_BENCH_BOOST_VM_UNDER_TEST_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/table/boost_log.h"
#include "agent/table/stats_reader.h"
#include "tests/lab/abi/histogram.h"
#include "tests/lab/harness/session.h"

namespace lockhost::bench {

// A VM with the daemons up, and what the agent writes down about it. Where there is no KVM
// threads stand in for its vCPUs. Used by one thread, which must live as long.
class VmUnderTest {
 public:
  // FAILED_PRECONDITION: nothing can be boosted here, and why.
  static absl::StatusOr<std::unique_ptr<VmUnderTest>> Start(uint32_t vcpus);

  lab::Session& session() { return *session_; }

  // Boosts since the last call: how many, and for how long their holders had been without a
  // CPU while somebody waited (those that came to none: until the boost ended).
  struct Boosts {
    uint64_t count = 0;
    lab::Histogram holder_back_ns = {};
  };
  Boosts TakeBoosts();
  // Preemptions of lock holders since the last call, by the agent's books: their lengths as
  // the upper ends of buckets of powers of two.
  lab::Histogram TakeHolderPreemptions();

 private:
  using Counts = std::vector<uint64_t>;  // by bucket

  VmUnderTest() = default;
  absl::Status Listen();
  Counts HolderPreemptions() const;

  std::unique_ptr<lab::Session> session_;
  std::unique_ptr<agent::BoostLogReader> log_;
  std::unique_ptr<agent::StatsReader> books_;
  uint64_t last_boost_ = 0;
  Counts counted_;
};

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_BOOST_VM_UNDER_TEST_H_
