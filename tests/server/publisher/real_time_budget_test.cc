// SPDX-License-Identifier: Apache-2.0
#include "server/publisher/real_time_budget.h"

#include <gtest/gtest.h>

namespace lockhost::server {
namespace {

constexpr uint64_t kStart = 1'000'000'000'000;
constexpr uint64_t kMs = 1'000'000;

TEST(RealTimeBudgetTest, ASmallShareIsAllowedForEver) {
  RealTimeBudget budget;
  for (uint64_t ms = 0; ms < 10'000; ++ms) {
    ASSERT_TRUE(budget.Allows(ms * kMs / 5, kStart + ms * kMs)) << ms;
  }
}

TEST(RealTimeBudgetTest, ALargeOneCostsASecond) {
  RealTimeBudget budget;
  EXPECT_TRUE(budget.Allows(0, kStart));
  EXPECT_TRUE(budget.Allows(25 * kMs, kStart + 30 * kMs));
  EXPECT_FALSE(budget.Allows(26 * kMs, kStart + 31 * kMs));
  EXPECT_FALSE(budget.Allows(26 * kMs, kStart + 900 * kMs));
  EXPECT_TRUE(budget.Allows(26 * kMs, kStart + 1031 * kMs));
}

// It wakes seldom, and has used much in one go.
TEST(RealTimeBudgetTest, WhatWasUsedBetweenTwoLooksCounts) {
  RealTimeBudget budget;
  EXPECT_TRUE(budget.Allows(0, kStart));
  EXPECT_FALSE(budget.Allows(200 * kMs, kStart + 300 * kMs));
}

}  // namespace
}  // namespace lockhost::server
