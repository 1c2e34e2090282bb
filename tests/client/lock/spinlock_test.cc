// SPDX-License-Identifier: Apache-2.0
//
// The library as applications see it, with real threads; the page is as hostile as a
// page can be.
#include "client/lock/spinlock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "tests/client/lock/library_pages.h"

namespace lockhost {
namespace {

// Counts inside the lock without any other protection.
template <typename Lock>
uint64_t Hammer(Lock& lock, int threads, int rounds) {
  uint64_t count = 0;
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&] {
      for (int round = 0; round < rounds; ++round) {
        std::lock_guard<Lock> held(lock);
        ++count;
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  return count;
}

TEST(SpinLockTest, ExcludesWithoutAnyPage) {
  InChild([] {
    setenv("LOCKHOST_HINT_PAGE", "/nonexistent", 1);
    SpinLock lock;
    EXPECT_EQ(Hammer(lock, 8, 20'000), 160'000u);
    EXPECT_FALSE(lock.is_locked());
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_NO_PAGE);
  });
}

TEST(SpinLockTest, ExcludesUnderEveryFrozenState) {
  for (uint32_t state = 0; state <= 6; ++state) {
    InChild([state] {
      Pages pages;
      auto* slots = reinterpret_cast<lockhost_hint_slot*>(pages.hints.as<char>() + 64);
      for (uint32_t i = 0; i < kSlots; ++i) slots[i].state_word = lockhost_state_word(state, 1);
      SpinLock lock;
      EXPECT_EQ(Hammer(lock, 4, 10'000), 40'000u) << "state " << state;
      EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_HINTS);
    });
  }
}

// Holders that sleep, waiters that sleep at once, waiters that claim the lock: a lost
// wake-up hangs this test.
TEST(SpinLockTest, NobodySleepsForEver) {
  for (uint32_t state : {LOCKHOST_RUN_STATE_PREEMPTED, LOCKHOST_RUN_STATE_UNSPECIFIED}) {
    InChild([state] {
      Pages pages;
      auto* slots = reinterpret_cast<lockhost_hint_slot*>(pages.hints.as<char>() + 64);
      for (uint32_t i = 0; i < kSlots; ++i) slots[i].state_word = lockhost_state_word(state, 1);
      SpinLock lock;
      uint64_t count = 0;
      std::vector<std::thread> all;
      for (uint32_t id = 0; id < 8; ++id) {
        all.emplace_back([&, id] {
          std::minstd_rand random(id + 1);
          for (int round = 0; round < 3'000; ++round) {
            std::unique_lock<SpinLock> held(lock);
            ++count;
            if (random() % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(20));
            held.unlock();
            if (random() % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
          }
        });
      }
      for (std::thread& thread : all) thread.join();
      EXPECT_EQ(count, 24'000u);
    });
  }
}

TEST(SpinLockTest, ExcludesWhilePagesAreFilledWithGarbage) {
  InChild([] {
    Pages pages;
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_HINTS);
    std::atomic<bool> stop = false;
    std::thread vandal([&] {
      std::minstd_rand random(1);
      while (!stop.load(std::memory_order_relaxed)) {
        SharedPage& page = random() % 2 == 0 ? pages.hints : pages.reports;
        const size_t word = random() % (page.bytes() / 8);
        __atomic_store_n(page.as<uint64_t>() + word, random() * 0x9e3779b97f4a7c15ull,
                         __ATOMIC_RELAXED);
      }
    });
    SpinLock lock;
    EXPECT_EQ(Hammer(lock, 4, 20'000), 80'000u);
    stop = true;
    vandal.join();
  });
}

TEST(SpinLockTest, CAbiIsTheSameLock) {
  lockhost_spinlock_t lock = LOCKHOST_SPINLOCK_INITIALIZER;
  lockhost_spin_lock(&lock);
  EXPECT_EQ(lockhost_spin_trylock(&lock), 0);
  EXPECT_EQ(lockhost_spin_is_locked(&lock), 1);
  lockhost_spin_unlock(&lock);
  EXPECT_EQ(lockhost_spin_trylock(&lock), 1);
  lockhost_spin_unlock(&lock);
  EXPECT_EQ(lockhost_spin_is_locked(&lock), 0);
}

TEST(SpinLockTest, FirstContentionRingsTheBell) {
  InChild([] {
    Pages pages;
    auto* reports = pages.reports.as<lockhost_report_header>();
    reports->bell_armed = 1;
    SpinLock lock;
    lock.lock();
    std::thread waiter([&] { std::lock_guard<SpinLock> held(lock); });
    while (__atomic_load_n(&reports->bell, __ATOMIC_ACQUIRE) == 0) std::this_thread::yield();
    lock.unlock();
    waiter.join();
    EXPECT_EQ(reports->bell, 1u);
    EXPECT_EQ(reports->bell_armed, 0u);
  });
}

TEST(SpinLockTest, WorksInAForkedChildToo) {
  InChild([] {
    SpinLock lock;
    EXPECT_EQ(Hammer(lock, 2, 1'000), 2'000u);
    InChild([&] { EXPECT_EQ(Hammer(lock, 4, 5'000), 20'000u); });
  });
}

TEST(StatusTest, SaysWhyThereAreNoHints) {
  InChild([] {
    setenv("LOCKHOST_HINTS", "off", 1);
    EXPECT_EQ(lockhost_status(), LOCKHOST_STATUS_NOT_ATTACHED);
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_DISABLED);
  });
  InChild([] {
    Pages pages;
    pages.hints.as<lockhost_hint_header>()->valid_until_ns = 0;
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_STALE);
  });
  InChild([] {
    Pages pages;
    pages.hints.as<lockhost_hint_header>()->magic = 1;
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_BAD_PAGE);
  });
  EXPECT_STREQ(lockhost_status_text(LOCKHOST_STATUS_HINTS), "hints are used");
}

}  // namespace
}  // namespace lockhost
