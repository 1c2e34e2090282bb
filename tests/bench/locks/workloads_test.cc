// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/workloads.h"

#include <gtest/gtest.h>

#include "tests/bench/locks/spinning_peers.h"

namespace lockhost::bench {
namespace {

class LetsEverybodyIn {
 public:
  using Node = NoNode;
  void Lock(Node&) {}
  void Unlock(Node&) {}
};

TEST(WorkloadsTest, ALockThatIsNoneIsNoticed) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer would be the first to notice";
#endif
  const RunPlan plan = Calibrate(20'000'000);
  Sample sample = {};
  for (int tries = 0; tries < 100 && sample.exclusion_errors == 0; ++tries) {
    RunCell<LetsEverybodyIn>({Workload::kThreads, 4, 100'000, 0, 1}, plan, &sample);
  }
  EXPECT_GT(sample.exclusion_errors, 0u);
}

TEST(WorkloadsTest, OneThreadSpendsItsTimeAsItWasTold) {
  const RunPlan plan = Calibrate(50'000'000);
  Sample sample = {};
  RunCell<TestAndSet>({Workload::kThreads, 1, 10'000, 10'000, 1}, plan, &sample);
  EXPECT_LT(sample.ops_per_s, 1e9 / 20'000 * 1.1);
  EXPECT_LT(sample.spin_cpu_share, 0.5);
  EXPECT_EQ(sample.fairness, 1);
}

}  // namespace
}  // namespace lockhost::bench
