// SPDX-License-Identifier: Apache-2.0
#include "server/interest/interest_map.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/source/interest_memfd.h"
#include "common/unique_fd.h"

namespace lockhost::server {
namespace {

class InterestMapTest : public testing::Test {
 protected:
  InterestMapTest() {
    const size_t bytes = sizeof(agent::InterestEntry) * agent::kMaxVms;
    entries_ = static_cast<const agent::InterestEntry*>(
        mmap(nullptr, bytes, PROT_READ, MAP_SHARED, memfd_->fd(), 0));
  }
  ~InterestMapTest() override {
    munmap(const_cast<agent::InterestEntry*>(entries_),
           sizeof(agent::InterestEntry) * agent::kMaxVms);
  }

  std::unique_ptr<agent::InterestMemfd> memfd_ = *agent::InterestMemfd::Create();
  const agent::InterestEntry* entries_ = nullptr;
};

TEST_F(InterestMapTest, TheAgentSeesWhatIsSetAndCleared) {
  auto map = InterestMap::Map(memfd_->fd());
  ASSERT_TRUE(map.ok()) << map.status();
  uint64_t awaited[Demand::kWords] = {};
  awaited[1] = 0x10;
  (*map)->Set(255, 77, 1000, awaited);
  EXPECT_TRUE(memfd_->HasDemand(255, 77, 999));
  EXPECT_FALSE(memfd_->HasDemand(255, 77, 1000));
  EXPECT_FALSE(memfd_->HasDemand(255, 78, 999));  // another VM at the same index
  EXPECT_FALSE(memfd_->HasDemand(254, 77, 999));
  EXPECT_EQ(entries_[255].awaited[1], 0x10u);
  (*map)->Clear(255);
  EXPECT_FALSE(memfd_->HasDemand(255, 77, 999));
}

TEST_F(InterestMapTest, AnotherVmTakesTheIndexOver) {
  auto map = InterestMap::Map(memfd_->fd());
  const uint64_t none[Demand::kWords] = {};
  (*map)->Set(3, 1, 1000, none);
  (*map)->Set(3, 2, 500, none);
  EXPECT_FALSE(memfd_->HasDemand(3, 1, 100));
  EXPECT_TRUE(memfd_->HasDemand(3, 2, 100));
}

TEST_F(InterestMapTest, AnIndexOutOfRangeDoesNothing) {
  auto map = InterestMap::Map(memfd_->fd());
  const uint64_t none[Demand::kWords] = {};
  (*map)->Set(agent::kMaxVms, 1, 1000, none);
  (*map)->Clear(UINT32_MAX);
}

TEST_F(InterestMapTest, WhoLeavesWantsNothingMore) {
  auto map = InterestMap::Map(memfd_->fd());
  const uint64_t none[Demand::kWords] = {};
  (*map)->Set(0, 1, UINT64_MAX, none);
  map->reset();
  EXPECT_FALSE(memfd_->HasDemand(0, 1, 5));
}

TEST(InterestMapErrorTest, AShortFileOrNoneIsRefused) {
  const UniqueFd fd(memfd_create("short", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(fd.get(), 4096), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(InterestMap::Map(fd.get()).status()));
  EXPECT_FALSE(InterestMap::Map(-1).ok());
}

}  // namespace
}  // namespace lockhost::server
