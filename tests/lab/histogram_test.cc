// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/abi/histogram.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

namespace lockhost::lab {
namespace {

double ErrorOf(uint64_t value) {
  const auto given = static_cast<double>(Histogram::ValueOf(Histogram::BucketOf(value)));
  return std::abs(given - static_cast<double>(value)) / static_cast<double>(value);
}

TEST(Histogram, EveryValueComesBackWithinFivePercent) {
  for (uint64_t value = 1; value < 100'000; ++value) EXPECT_LE(ErrorOf(value), 0.05) << value;
  for (uint32_t bit = 10; bit < Histogram::kMaxBits; ++bit) {
    const uint64_t power = uint64_t{1} << bit;
    for (const uint64_t value : {power - 1, power, power + 1, power + power / 3}) {
      EXPECT_LE(ErrorOf(value), 0.05) << value;
    }
  }
}

TEST(Histogram, BucketsGrowWithTheValue) {
  uint32_t last = 0;
  for (uint64_t value = 0; value < 1'000'000; value += 7) {
    const uint32_t bucket = Histogram::BucketOf(value);
    EXPECT_GE(bucket, last);
    EXPECT_LT(bucket, Histogram::kBuckets);
    last = bucket;
  }
}

TEST(Histogram, TheLargestValuesShareTheLastBucket) {
  EXPECT_EQ(Histogram::BucketOf(UINT64_MAX), Histogram::kBuckets - 1);
  EXPECT_EQ(Histogram::BucketOf((uint64_t{1} << Histogram::kMaxBits) - 1), Histogram::kBuckets - 1);
}

TEST(Histogram, QuantilesOfKnownNumbers) {
  auto histogram = std::make_unique<Histogram>();
  for (uint64_t value = 1; value <= 1000; ++value) histogram->Add(value);
  EXPECT_EQ(histogram->Total(), 1000u);
  EXPECT_NEAR(static_cast<double>(histogram->Quantile(0.5)), 500, 25);
  EXPECT_NEAR(static_cast<double>(histogram->Quantile(0.99)), 990, 50);
  EXPECT_EQ(histogram->Quantile(1.0), histogram->max);
  EXPECT_EQ(histogram->max, 1000u);
}

TEST(Histogram, EmptyReadsAsZero) {
  const auto histogram = std::make_unique<Histogram>();
  EXPECT_EQ(histogram->Quantile(0.5), 0u);
  EXPECT_EQ(histogram->Total(), 0u);
}

TEST(Histogram, MergingAddsCountsAndKeepsTheMaximum) {
  auto one = std::make_unique<Histogram>();
  auto other = std::make_unique<Histogram>();
  one->Add(10);
  other->Add(1'000'000);
  one->Merge(*other);
  EXPECT_EQ(one->Total(), 2u);
  EXPECT_EQ(one->max, 1'000'000u);
}

}  // namespace
}  // namespace lockhost::lab
