// SPDX-License-Identifier: Apache-2.0
#include "common/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace lockhost {
namespace {

TEST(BackoffTest, DoublesTheCeilingUpToTheLast) {
  Backoff backoff({.first_ceiling_ns = 100, .last_ceiling_ns = 350}, 1);
  EXPECT_EQ(backoff.ceiling_ns(), 100u);
  EXPECT_LE(backoff.NextDelayNs(), 100u);
  EXPECT_EQ(backoff.ceiling_ns(), 200u);
  EXPECT_LE(backoff.NextDelayNs(), 200u);
  EXPECT_EQ(backoff.ceiling_ns(), 350u);
  for (int i = 0; i < 100; ++i) EXPECT_LE(backoff.NextDelayNs(), 350u);
  EXPECT_EQ(backoff.ceiling_ns(), 350u);
}

TEST(BackoffTest, StartsAnewAfterASuccess) {
  Backoff backoff({.first_ceiling_ns = 100, .last_ceiling_ns = 10'000}, 1);
  for (int i = 0; i < 10; ++i) backoff.NextDelayNs();
  backoff.Reset();
  EXPECT_EQ(backoff.ceiling_ns(), 100u);
}

TEST(BackoffTest, PicksFromTheWholeRange) {
  Backoff backoff({.first_ceiling_ns = 1000, .last_ceiling_ns = 1000}, 7);
  uint64_t least = UINT64_MAX;
  uint64_t most = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t delay = backoff.NextDelayNs();
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  EXPECT_LT(least, 50u);
  EXPECT_GT(most, 950u);
  EXPECT_LE(most, 1000u);
}

TEST(BackoffTest, DifferentSeedsDoNotStayInStep) {
  std::set<uint64_t> delays;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    delays.insert(
        Backoff({.first_ceiling_ns = 1'000'000, .last_ceiling_ns = 1'000'000}, seed).NextDelayNs());
  }
  EXPECT_GT(delays.size(), 45u);
}

TEST(BackoffTest, LimitsOutOfOrderAndAtTheEdgesDoNoHarm) {
  Backoff reversed({.first_ceiling_ns = 500, .last_ceiling_ns = 100}, 1);
  EXPECT_EQ(reversed.ceiling_ns(), 100u);
  EXPECT_EQ(Backoff({.first_ceiling_ns = 0, .last_ceiling_ns = 0}, 1).NextDelayNs(), 0u);
  Backoff endless({.first_ceiling_ns = UINT64_MAX, .last_ceiling_ns = UINT64_MAX}, 1);
  endless.NextDelayNs();
  EXPECT_EQ(endless.ceiling_ns(), UINT64_MAX);
}

}  // namespace
}  // namespace lockhost
