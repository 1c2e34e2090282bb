// SPDX-License-Identifier: Apache-2.0
//
// Nobody who waits is overtaken without end: in hand-overs, not in time, which a busy machine has
// its own idea of.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "client/lock/mutex.h"
#include "client/lock/spinlock.h"

namespace lockhost {
namespace {

constexpr int kThreads = 16;  // most of them asleep on any machine that this is built on
constexpr uint64_t kTurns = 100;
constexpr std::chrono::seconds kPatience{60};

struct Record {
  std::atomic<uint64_t> turns = 0;
  uint64_t longest_wait = 0;  // in hand-overs to others
};

void WorkForAMoment() {
  for (int i = 0; i < 500; ++i) asm volatile("" : "+r"(i));
}

// All of them want the lock all the time, and none stops before each has had its turns: whoever
// could be kept out for ever is.
template <typename Lock>
void ExpectEverybodyGetsTheLock() {
  Lock lock;
  uint64_t handed_over = 0;  // written inside the lock
  std::atomic<bool> over = false;
  std::vector<Record> records(kThreads);
  std::vector<std::thread> threads;
  for (Record& record : records) {
    threads.emplace_back([&] {
      while (!over.load(std::memory_order_relaxed)) {
        const uint64_t before = __atomic_load_n(&handed_over, __ATOMIC_RELAXED);
        const std::lock_guard<Lock> held(lock);
        record.longest_wait = std::max(record.longest_wait, handed_over - before);
        __atomic_store_n(&handed_over, handed_over + 1, __ATOMIC_RELAXED);
        WorkForAMoment();
        ++record.turns;
      }
    });
  }
  const auto had_its_turns = [](const Record& record) { return record.turns >= kTurns; };
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!std::all_of(records.begin(), records.end(), had_its_turns) &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  uint64_t longest = 0;
  for (const Record& record : records) {
    EXPECT_GE(record.turns, kTurns) << "of " << handed_over << " hand-overs";
    longest = std::max(longest, record.longest_wait);
  }
  testing::Test::RecordProperty("hand_overs", static_cast<int>(handed_over));
  testing::Test::RecordProperty("longest_wait_in_hand_overs", static_cast<int>(longest));
}

TEST(OvertakingTest, EverybodyGetsASpinLock) { ExpectEverybodyGetsTheLock<SpinLock>(); }

TEST(OvertakingTest, EverybodyGetsAMutex) { ExpectEverybodyGetsTheLock<Mutex>(); }

}  // namespace
}  // namespace lockhost
