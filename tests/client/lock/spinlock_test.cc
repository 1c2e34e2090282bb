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

#include "client/lock/mutex.h"
#include "client/lock/process.h"
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

// A thread page that the test writes, in place of the kernel.
class HostileThreads {
 public:
  HostileThreads() : page_(LOCKHOST_THREAD_PAGE_BYTES(kThreadSlots)) {
    auto* header = pages_.hints.as<lockhost_hint_header>();
    header->threads_valid_until_ns = UINT64_MAX;
    header->threads_generation = 1;
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_HINTS);
    lock::process_threads = {
        header,        page_.as<lockhost_thread_header>(), 1, kThreadSlots, lock::cpu_ids.of_cpu,
        lock::kMaxCpus};
    const_cast<lockhost_env&>(lock::ProcessEnv()).threads = &lock::process_threads;
    __atomic_fetch_or(&lock::process_state.attached, lock::kNamesThreads, __ATOMIC_RELEASE);
  }
  lockhost_hint_header* lease() { return pages_.hints.as<lockhost_hint_header>(); }
  SharedPage& page() { return page_; }
  void SetAll(uint32_t state, uint32_t cpu) {
    auto* slots = reinterpret_cast<lockhost_thread_slot*>(page_.as<char>() + 64);
    for (uint32_t i = 0; i < kThreadSlots; ++i) {
      slots[i].state_word = lockhost_thread_word(state, cpu, 1);
    }
  }

 private:
  static constexpr uint32_t kThreadSlots = 16;
  Pages pages_;
  SharedPage page_;
};

TEST(SpinLockTest, ExcludesUnderEveryFrozenStateOfThreads) {
  for (uint32_t state = 0; state <= 5; ++state) {
    for (const uint32_t cpu : {0u, 1u, 0xffffu}) {
      InChild([state, cpu] {
        HostileThreads threads;
        threads.SetAll(state, cpu);
        SpinLock lock;
        EXPECT_EQ(Hammer(lock, 4, 5'000), 20'000u) << "state " << state;
        Mutex mutex;
        EXPECT_EQ(Hammer(mutex, 4, 2'000), 8'000u) << "state " << state;
      });
    }
  }
}

TEST(SpinLockTest, ExcludesWhileTheThreadPageIsFilledWithGarbageAndDropped) {
  InChild([] {
    HostileThreads threads;
    std::atomic<bool> stop = false;
    std::thread vandal([&] {
      std::minstd_rand random(1);
      for (int round = 0; !stop.load(std::memory_order_relaxed); ++round) {
        const size_t word = random() % (threads.page().bytes() / 8);
        __atomic_store_n(threads.page().as<uint64_t>() + word, random() * 0x9e3779b97f4a7c15ull,
                         __ATOMIC_RELAXED);
        // The lease comes and goes; in the end its agent has been replaced.
        if (round % 64 == 0) {
          __atomic_store_n(&threads.lease()->threads_valid_until_ns,
                           round % 128 == 0 ? 0 : UINT64_MAX, __ATOMIC_RELAXED);
        }
        if (round == 200'000) {
          __atomic_store_n(&threads.lease()->threads_generation, 2, __ATOMIC_RELAXED);
        }
      }
    });
    SpinLock lock;
    EXPECT_EQ(Hammer(lock, 4, 20'000), 80'000u);
    lock::DropThreads();
    EXPECT_EQ(Hammer(lock, 4, 5'000), 20'000u);
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
