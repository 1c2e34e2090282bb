// SPDX-License-Identifier: Apache-2.0
//
// The library while the host changes its mind: real threads, real futexes.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "client/lock/lock_word.h"
#include "client/lock/mutex.h"
#include "client/lock/process.h"
#include "client/lock/spinlock.h"
#include "tests/client/lock/library_pages.h"

namespace lockhost {
namespace {

std::string Description() {
  std::array<char, 400> text{};
  EXPECT_LT(lockhost_describe(text.data(), text.size()), text.size());
  return text.data();
}

void Advise(Pages& pages, lockhost_mode mode) {
  __atomic_store_n(&pages.hints.as<lockhost_hint_header>()->mode, mode, __ATOMIC_RELAXED);
}

// Sees the word of a lock that this thread alone uses.
bool IsTakenNatively() {
  lockhost_spinlock_t lock = LOCKHOST_SPINLOCK_INITIALIZER;
  lockhost_spin_lock(&lock);
  const bool native = lock::IsHeldNatively(__atomic_load_n(&lock.word, __ATOMIC_RELAXED));
  lockhost_spin_unlock(&lock);
  EXPECT_EQ(lock.word, 0u);
  return native;
}

TEST(NativeModeTest, IsTakenOfTheHostsWordAndSaid) {
  InChild([] {
    EXPECT_FALSE(IsTakenNatively());
    Pages pages;
    Advise(pages, LOCKHOST_MODE_DEDICATED);
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_HINTS);
    EXPECT_TRUE(IsTakenNatively());
    EXPECT_NE(Description().find("; native: the host has a CPU for each vCPU"), std::string::npos)
        << Description();
    Advise(pages, LOCKHOST_MODE_OVERCOMMITTED);
    EXPECT_NE(Description().find("; paravirtual: the host may preempt"), std::string::npos);
  });
}

TEST(NativeModeTest, TheEnvironmentForcesEither) {
  InChild([] {
    setenv("LOCKHOST_HINTS", "off", 1);
    setenv("LOCKHOST_MODE", "native", 1);
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_DISABLED);
    EXPECT_TRUE(IsTakenNatively());
    EXPECT_EQ(Description(), "no hints: LOCKHOST_HINTS=off; native: LOCKHOST_MODE=native");
  });
  InChild([] {
    setenv("LOCKHOST_MODE", "paravirtual", 1);
    Pages pages;
    Advise(pages, LOCKHOST_MODE_DEDICATED);
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_HINTS);
    EXPECT_FALSE(IsTakenNatively());
  });
}

TEST(NativeModeTest, AValueThatIsNoneIsSaidAndNothingIsAttached) {
  for (const char* variable : {"LOCKHOST_MODE", "LOCKHOST_HINTS"}) {
    InChild([variable] {
      Pages pages;
      Advise(pages, LOCKHOST_MODE_DEDICATED);
      setenv(variable, "natve", 1);
      EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_BAD_SETTING);
      EXPECT_FALSE(IsTakenNatively());
      EXPECT_NE(Description().find("LOCKHOST_MODE none of native, paravirtual, auto"),
                std::string::npos);
    });
  }
}

// Locks, nested locks and conditions while the mode flips: a lost wake-up hangs this test.
TEST(NativeModeTest, SwitchesWhileLocksAreHeldNestedAndWaitedFor) {
  InChild([] {
    Pages pages;
    lockhost_attach();
    std::atomic<bool> stop = false;
    std::thread host([&] {
      for (uint32_t turn = 0; !stop.load(std::memory_order_relaxed); ++turn) {
        Advise(pages, turn % 2 == 0 ? LOCKHOST_MODE_DEDICATED : LOCKHOST_MODE_OVERCOMMITTED);
        // As after the time for which a nap counts.
        __atomic_store_n(&lock::process_state.operations.napped_at_ns, 0, __ATOMIC_RELAXED);
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
    });
    SpinLock outer, inner;
    Mutex mutex;
    CondVar condition;
    uint64_t outer_count = 0, inner_count = 0, items = 0;
    std::vector<std::thread> all;
    for (uint32_t id = 0; id < 6; ++id) {
      all.emplace_back([&, id] {
        std::minstd_rand random(id + 1);
        for (int round = 0; round < 4'000; ++round) {
          std::unique_lock<SpinLock> first(outer);
          ++outer_count;
          const std::lock_guard<SpinLock> second(inner);
          ++inner_count;
          if (random() % 2 == 0) first.unlock();  // not in the order of nesting
          if (random() % 256 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
        for (int round = 0; round < 200; ++round) {
          std::unique_lock<Mutex> held(mutex);
          if (id % 2 == 0) {
            ++items;
            condition.notify_one();
          } else {
            condition.wait(held, [&] { return items > 0; });
            --items;
          }
        }
      });
    }
    for (std::thread& thread : all) thread.join();
    stop = true;
    host.join();
    EXPECT_EQ(outer_count, 24'000u);
    EXPECT_EQ(inner_count, 24'000u);
    EXPECT_EQ(items, 0u);
    EXPECT_FALSE(outer.is_locked() || inner.is_locked() || mutex.is_locked());
  });
}

// The holder sleeps, and nobody wakes who waits for it.
TEST(NativeModeTest, AHolderThatSleepsIsOutlastedWithoutAWakeUp) {
  InChild([] {
    setenv("LOCKHOST_HINTS", "off", 1);
    setenv("LOCKHOST_MODE", "native", 1);
    lockhost_attach();
    SpinLock lock;
    uint64_t count = 0;
    std::vector<std::thread> all;
    for (int id = 0; id < 4; ++id) {
      all.emplace_back([&] {
        for (int round = 0; round < 20; ++round) {
          const std::lock_guard<SpinLock> held(lock);
          ++count;
          std::this_thread::sleep_for(std::chrono::microseconds(500));
        }
      });
    }
    for (std::thread& thread : all) thread.join();
    EXPECT_EQ(count, 80u);
  });
}

}  // namespace
}  // namespace lockhost
