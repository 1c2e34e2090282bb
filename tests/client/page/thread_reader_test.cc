// SPDX-License-Identifier: Apache-2.0
#include "client/page/thread_reader.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace {

constexpr uint32_t kSlots = 4;
constexpr uint64_t kNow = 1'000'000;
constexpr uint64_t kGeneration = 7;

class ThreadReaderTest : public testing::Test {
 protected:
  ThreadReaderTest() {
    lease_.threads_valid_until_ns = kNow + 1;
    lease_.threads_generation = kGeneration;
    page_.header.magic = LOCKHOST_THREAD_PAGE_MAGIC;
    page_.header.abi_version = LOCKHOST_PAGE_ABI_VERSION;
    page_.header.header_size = sizeof(lockhost_thread_header);
    page_.header.slot_stride = sizeof(lockhost_thread_slot);
    page_.header.slot_count = kSlots;
    page_.header.generation = kGeneration;
  }
  uint32_t Check() { return lockhost_check_thread_page(&page_.header, sizeof(page_)); }
  lockhost_thread_view Read(uint32_t slot, uint64_t now_ns = kNow) {
    return lockhost_read_thread(&threads_, slot, now_ns);
  }

  lockhost_hint_header lease_ = {};
  struct {
    lockhost_thread_header header = {};
    lockhost_thread_slot slots[kSlots] = {};
  } page_;
  const std::array<uint16_t, 2> vcpus_ = {8, 9};
  lockhost_threads threads_ = {&lease_, &page_.header, kGeneration, kSlots, vcpus_.data(), 2};
};

TEST_F(ThreadReaderTest, ReadsStateAndVcpu) {
  for (uint32_t state = LOCKHOST_THREAD_STATE_ON_CPU; state <= LOCKHOST_THREAD_STATE_ASLEEP;
       ++state) {
    page_.slots[2].state_word = lockhost_thread_word(state, 1, 99);
    EXPECT_EQ(Read(2).state, state);
    EXPECT_EQ(Read(2).vcpu, 9u);
  }
}

TEST_F(ThreadReaderTest, WhatIsNotSaidIsNotKnown) {
  page_.slots[1].state_word = lockhost_thread_word(LOCKHOST_THREAD_STATE_UNSPECIFIED, 1, 5);
  for (const uint32_t slot : {0u, 1u, kSlots, 0x7ffdu, LOCKHOST_UNKNOWN_CPU}) {
    EXPECT_EQ(Read(slot).state, uint32_t{LOCKHOST_THREAD_STATE_UNSPECIFIED}) << slot;
    EXPECT_EQ(Read(slot).vcpu, LOCKHOST_UNKNOWN_CPU) << slot;
  }
  page_.slots[1].state_word = lockhost_thread_word(77, 1, 5);
  EXPECT_EQ(Read(1).state, uint32_t{LOCKHOST_THREAD_STATE_UNSPECIFIED}) << "of a later version";
}

TEST_F(ThreadReaderTest, ACpuThatIsNotKnownHasNoVcpu) {
  for (const uint32_t cpu : {2u, 0xffffu}) {
    page_.slots[0].state_word = lockhost_thread_word(LOCKHOST_THREAD_STATE_ON_CPU, cpu, 1);
    EXPECT_EQ(Read(0).state, uint32_t{LOCKHOST_THREAD_STATE_ON_CPU});
    EXPECT_EQ(Read(0).vcpu, LOCKHOST_UNKNOWN_CPU);
  }
}

TEST_F(ThreadReaderTest, CountsOnlyUnderTheLeaseOfItsOwnAgent) {
  page_.slots[0].state_word = lockhost_thread_word(LOCKHOST_THREAD_STATE_ASLEEP, 0, 1);
  EXPECT_EQ(Read(0).state, uint32_t{LOCKHOST_THREAD_STATE_ASLEEP});
  EXPECT_EQ(Read(0, kNow + 1).state, uint32_t{LOCKHOST_THREAD_STATE_UNSPECIFIED}) << "run out";
  lease_.threads_generation = kGeneration + 1;
  EXPECT_EQ(Read(0).state, uint32_t{LOCKHOST_THREAD_STATE_UNSPECIFIED}) << "another agent's";
  EXPECT_FALSE(lockhost_threads_are_written(&threads_));
  lease_.threads_generation = kGeneration;
  threads_.slot_count = 0;
  EXPECT_EQ(Read(0).state, uint32_t{LOCKHOST_THREAD_STATE_UNSPECIFIED}) << "dropped";
  EXPECT_EQ(lockhost_thread_slots(nullptr), 0u);
}

TEST_F(ThreadReaderTest, RefusesWhatIsNoSuchPage) {
  EXPECT_EQ(Check(), kSlots);
  EXPECT_EQ(lockhost_check_thread_page(nullptr, 4096), 0u);
  EXPECT_EQ(lockhost_check_thread_page(&page_.header, 63), 0u);
  EXPECT_EQ(lockhost_check_thread_page(&page_.header, 64 + 2 * 64 + 63), 2u) << "what is mapped";
  page_.header.slot_count = UINT32_MAX;
  EXPECT_EQ(lockhost_check_thread_page(&page_.header, UINT64_MAX / 2), LOCKHOST_MAX_THREAD_SLOTS);
  page_.header.generation = 0;
  EXPECT_EQ(Check(), 0u);
  page_.header.generation = 1;
  ++page_.header.abi_version;
  EXPECT_EQ(Check(), 0u);
  --page_.header.abi_version;
  page_.header.slot_stride = 32;
  EXPECT_EQ(Check(), 0u);
  page_.header.slot_stride = 64;
  page_.header.magic = LOCKHOST_HINT_PAGE_MAGIC;
  EXPECT_EQ(Check(), 0u);
}

TEST_F(ThreadReaderTest, NothingThatAPageSaysLeadsOutOfIt) {
  std::minstd_rand random(1);
  for (int round = 0; round < 20'000; ++round) {
    for (auto& slot : page_.slots) slot.state_word = random() * 0x9e3779b97f4a7c15ULL;
    const lockhost_thread_view view = Read(static_cast<uint32_t>(random()) % (2 * kSlots));
    EXPECT_LE(view.state, uint32_t{LOCKHOST_THREAD_STATE_ASLEEP});
    EXPECT_TRUE(view.vcpu == 8 || view.vcpu == 9 || view.vcpu == LOCKHOST_UNKNOWN_CPU);
  }
}

}  // namespace
