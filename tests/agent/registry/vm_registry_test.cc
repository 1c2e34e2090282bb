// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/vm_registry.h"

#include <gtest/gtest.h>

#include <set>

namespace lockhost::agent {
namespace {

constexpr uint64_t kNowMs = 1'790'000'000'000;

VmSighting Sighting(uint64_t key, pid_t pid) { return {key, {pid, 1000}}; }

Vm* Follow(VmRegistry& registry, const VmSighting& sighting, uint64_t now_ms = kNowMs) {
  Vm vm;
  vm.record = *registry.MakeRecord(sighting, now_ms);
  return registry.Insert(std::move(vm));
}

TEST(VmIdAllocatorTest, GrowsWithinAMillisecondAndOverTheClock) {
  VmIdAllocator ids;
  uint64_t last = 0;
  for (int i = 0; i < 5000; ++i) {
    const uint64_t id = ids.Next(kNowMs);
    EXPECT_GT(id, last);
    last = id;
  }
  EXPECT_GT(ids.Next(kNowMs - 60'000), last) << "the clock was set back";
  EXPECT_LT(last, uint64_t{1} << 53) << "fits a JSON number";
}

TEST(VmIdAllocatorTest, LaterAgentIsAheadOfAnEarlierOne) {
  VmIdAllocator earlier;
  VmIdAllocator later;
  EXPECT_GT(later.Next(kNowMs + 1), earlier.Next(kNowMs));
  VmIdAllocator adopting;
  const uint64_t adopted = earlier.Next(kNowMs + 1000);
  adopting.Adopt(adopted);
  EXPECT_GT(adopting.Next(kNowMs), adopted);
}

TEST(VmRegistryTest, FindsByIdProcessAndSighting) {
  VmRegistry registry;
  Vm* first = Follow(registry, Sighting(0xa, 10));
  Vm* second = Follow(registry, Sighting(0xb, 10));
  Vm* other = Follow(registry, Sighting(0xa, 11));
  EXPECT_EQ(registry.Find(second->record.vm_id), second);
  EXPECT_EQ(registry.Find(1), nullptr);
  EXPECT_EQ(registry.OfProcess({10, 1000}), (std::vector<Vm*>{first, second}));
  EXPECT_TRUE(registry.OfProcess({10, 1001}).empty()) << "another process with that pid";
  EXPECT_EQ(registry.FindSighted(Sighting(0xa, 11)), other);
  EXPECT_EQ(registry.FindSighted(Sighting(0xc, 11)), nullptr);
}

TEST(VmRegistryTest, IndexIsReusedAsLateAsCanBeIdAndGenerationAreNot) {
  VmRegistry registry;
  const VmRecord before = Follow(registry, Sighting(0xa, 10))->record;
  EXPECT_NE(before.generation, 0u);
  registry.Remove(before.vm_id);
  for (uint32_t i = 1; i < kMaxVms; ++i) {
    const VmRecord other = Follow(registry, Sighting(0xa, 10))->record;
    ASSERT_NE(other.vm_index, before.vm_index);
    registry.Remove(other.vm_id);
  }
  const VmRecord after = Follow(registry, Sighting(0xa, 10))->record;
  EXPECT_EQ(after.vm_index, before.vm_index);
  EXPECT_GT(after.vm_id, before.vm_id);
  EXPECT_NE(after.generation, before.generation);
  registry.Remove(12345);  // no such VM: nothing happens
  EXPECT_EQ(registry.vms().size(), 1u);
}

TEST(VmRegistryTest, IsBounded) {
  VmRegistry registry;
  std::set<uint32_t> indexes;
  for (uint32_t i = 0; i < kMaxVms; ++i) {
    indexes.insert(Follow(registry, Sighting(i + 1, 10))->record.vm_index);
  }
  EXPECT_EQ(indexes.size(), kMaxVms);
  EXPECT_TRUE(absl::IsResourceExhausted(registry.MakeRecord(Sighting(1, 99), kNowMs).status()));
}

TEST(VmRegistryTest, AdoptedVmKeepsItsIndex) {
  VmRegistry registry;
  Vm adopted;
  adopted.record = {
      .vm_id = kNowMs << 11, .vm_index = 0, .key = 5, .process = {10, 1000}, .generation = 3};
  registry.Insert(std::move(adopted));
  const VmRecord next = Follow(registry, Sighting(6, 11), kNowMs - 1)->record;
  EXPECT_EQ(next.vm_index, 1u);
  EXPECT_GT(next.vm_id, kNowMs << 11);
}

}  // namespace
}  // namespace lockhost::agent
