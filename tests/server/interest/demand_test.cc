// SPDX-License-Identifier: Apache-2.0
#include "server/interest/demand.h"

#include <gtest/gtest.h>

namespace lockhost::server {
namespace {

constexpr uint64_t kMs = 1'000'000;

DemandUpdate Wants(uint64_t ttl_ns, std::vector<uint32_t> awaited = {}) {
  return {.has_demand = true, .ttl_ns = ttl_ns, .awaited = std::move(awaited)};
}

bool Awaits(Demand& demand, uint32_t vcpu_id, uint64_t now_ns) {
  uint64_t bits[Demand::kWords];
  demand.AwaitedBits(now_ns, bits);
  return bits[vcpu_id / 64] >> vcpu_id % 64 & 1;
}

TEST(DemandTest, BeginsGoesOnAndExpires) {
  Demand demand;
  EXPECT_FALSE(demand.active(0));
  EXPECT_TRUE(demand.Apply(Wants(200 * kMs), 1000 * kMs));
  EXPECT_FALSE(demand.Apply(Wants(200 * kMs), 1100 * kMs));
  EXPECT_TRUE(demand.active(1300 * kMs - 1));
  EXPECT_FALSE(demand.active(1300 * kMs));
  EXPECT_TRUE(demand.Apply(Wants(200 * kMs), 1400 * kMs));  // begins anew
}

TEST(DemandTest, ZeroEndsIt) {
  Demand demand;
  demand.Apply(Wants(200 * kMs), 0);
  EXPECT_FALSE(demand.Apply(Wants(0), 10));
  EXPECT_FALSE(demand.active(10));
}

TEST(DemandTest, TheHostBoundsWhatAGuestAsksFor) {
  Demand demand;
  demand.Apply(Wants(UINT64_MAX / 2), 5);
  EXPECT_EQ(demand.until_ns(), 5 + Demand::kMaxTtlNs);
}

TEST(DemandTest, AMessageWithoutDemandLeavesItAlone) {
  Demand demand;
  EXPECT_FALSE(demand.Apply({.has_demand = false, .ttl_ns = 0, .awaited = {1}}, 0));
  EXPECT_FALSE(demand.active(0));
  demand.Apply(Wants(100 * kMs), 0);
  demand.Apply({.has_demand = false, .ttl_ns = 0, .awaited = {}}, 50 * kMs);
  EXPECT_TRUE(demand.active(99 * kMs));
}

TEST(DemandTest, AwaitedIsKeptForAWhileAfterTheLastMention) {
  Demand demand;
  const uint64_t start = 10'000 * kMs;
  demand.Apply(Wants(kMs, {0, 63, 64, 1023}), start);
  for (const uint32_t vcpu_id : {0, 63, 64, 1023}) EXPECT_TRUE(Awaits(demand, vcpu_id, start));
  EXPECT_FALSE(Awaits(demand, 1, start));
  EXPECT_TRUE(Awaits(demand, 64, start + Demand::kAwaitedNs));
  EXPECT_FALSE(Awaits(demand, 64, start + 2 * Demand::kAwaitedNs));
}

TEST(DemandTest, AMentionInTimeKeepsIt) {
  Demand demand;
  uint64_t now = 10'000 * kMs;
  for (int i = 0; i < 40; ++i, now += 50 * kMs) demand.Apply(Wants(kMs, {7}), now);
  EXPECT_TRUE(Awaits(demand, 7, now + 200 * kMs));
}

TEST(DemandTest, IdsOutOfRangeAreLeftOut) {
  Demand demand;
  demand.Apply(Wants(kMs, {1024, UINT32_MAX}), 0);
  uint64_t bits[Demand::kWords];
  demand.AwaitedBits(0, bits);
  for (const uint64_t word : bits) EXPECT_EQ(word, 0u);
}

}  // namespace
}  // namespace lockhost::server
