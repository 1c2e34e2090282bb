// SPDX-License-Identifier: Apache-2.0
#include "common/token_bucket.h"

#include <gtest/gtest.h>

namespace lockhost {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(TokenBucketTest, GivesTheBurstThenTheRate) {
  TokenBucket bucket(100, 10);
  const uint64_t start = 1000 * kSecond;
  int taken = 0;
  while (bucket.Take(start)) ++taken;
  EXPECT_EQ(taken, 10);
  EXPECT_FALSE(bucket.Take(start + 9'999'999));
  EXPECT_TRUE(bucket.Take(start + 10'000'000));
  EXPECT_FALSE(bucket.Take(start + 10'000'000));
}

TEST(TokenBucketTest, RestFillsItUpToTheBurstAlone) {
  TokenBucket bucket(100, 10);
  uint64_t now = 1000 * kSecond;
  while (bucket.Take(now)) {
  }
  now += 3600 * kSecond;
  int taken = 0;
  while (bucket.Take(now)) ++taken;
  EXPECT_EQ(taken, 10);
}

TEST(TokenBucketTest, OverTimeTheRateHolds) {
  TokenBucket bucket(200, 5);
  int taken = 0;
  for (uint64_t now = kSecond; now < 11 * kSecond; now += 1'000'000) taken += bucket.Take(now);
  EXPECT_NEAR(taken, 2000, 10);
}

TEST(TokenBucketTest, AYoungClockDoesNoHarm) {
  TokenBucket bucket(1, 10);
  EXPECT_FALSE(bucket.Take(0));
  EXPECT_TRUE(bucket.Take(kSecond));
}

TEST(TokenBucketTest, TakesManyOrNone) {
  TokenBucket bucket(1000, 500);
  const uint64_t start = 1000 * kSecond;
  EXPECT_FALSE(bucket.Take(start, 501));
  EXPECT_TRUE(bucket.Take(start, 400));
  EXPECT_FALSE(bucket.Take(start, 101));
  EXPECT_TRUE(bucket.Take(start, 100));
  EXPECT_EQ(bucket.ReadyAtNs(), start + 1'000'000);
}

}  // namespace
}  // namespace lockhost
