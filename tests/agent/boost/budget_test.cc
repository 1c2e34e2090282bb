// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/budget.h"

#include <gtest/gtest.h>

namespace lockhost::agent {
namespace {

constexpr uint64_t kMs = 1'000'000;

TEST(BoostBudgetTest, IsFullAtFirstAndNeverMoreThanFull) {
  BoostBudget budget(0.05, 10 * kMs);
  EXPECT_EQ(budget.left_ns(0), 10.0 * kMs);
  EXPECT_EQ(budget.left_ns(1000 * kMs), 10.0 * kMs);
}

TEST(BoostBudgetTest, FillsByItsShare) {
  BoostBudget budget(0.05, 10 * kMs);
  budget.Take(0, 10 * kMs);
  EXPECT_EQ(budget.left_ns(100 * kMs), 5.0 * kMs);
}

TEST(BoostBudgetTest, WhatWasOverdrawnIsPaidBackFirst) {
  BoostBudget budget(0.05, 10 * kMs);
  budget.Take(0, 11 * kMs);
  EXPECT_EQ(budget.left_ns(0), -1.0 * kMs);
  EXPECT_NEAR(static_cast<double>(budget.FilledAt(0, kMs)), 40.0 * kMs, 2);
  EXPECT_GE(budget.left_ns(budget.FilledAt(0, kMs)), 1.0 * kMs);
}

TEST(BoostBudgetTest, WhatIsThereIsThereNow) {
  BoostBudget budget(0.05, 10 * kMs);
  EXPECT_EQ(budget.FilledAt(7, kMs), 7u);
  EXPECT_EQ(budget.FilledAt(7, 100 * kMs), 7u) << "more than the burst is never asked for";
}

TEST(BoostBudgetTest, AClockThatGoesBackGivesNothing) {
  BoostBudget budget(0.05, 10 * kMs);
  budget.Take(100 * kMs, 10 * kMs);
  EXPECT_EQ(budget.left_ns(50 * kMs), 0.0);
}

}  // namespace
}  // namespace lockhost::agent
