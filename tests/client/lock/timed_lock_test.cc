// SPDX-License-Identifier: Apache-2.0
//
// SpinLock with deadlines, on real threads and futexes.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "client/lock/spinlock.h"

namespace lockhost {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST(TimedLockTest, GivesUpNoSoonerThanItWasTold) {
  SpinLock lock;
  lock.lock();
  std::thread([&] {
    const auto start = steady_clock::now();
    EXPECT_FALSE(lock.try_lock_for(milliseconds(5)));
    EXPECT_GE(steady_clock::now() - start, milliseconds(5));
    EXPECT_FALSE(lock.try_lock_until(steady_clock::now() + milliseconds(1)));
    EXPECT_FALSE(lock.try_lock_until(std::chrono::system_clock::now() + milliseconds(1)));
  }).join();
  lock.unlock();
  EXPECT_FALSE(lock.is_locked());
}

TEST(TimedLockTest, AFreeLockIsTakenWhateverTheDeadline) {
  SpinLock lock;
  for (const auto timeout : {milliseconds(-5), milliseconds(0), milliseconds(5)}) {
    EXPECT_TRUE(lock.try_lock_for(timeout));
    lock.unlock();
  }
  EXPECT_TRUE(lock.try_lock_until(steady_clock::time_point::min()));
  lock.unlock();
  EXPECT_TRUE(lock.try_lock_until(steady_clock::time_point::max()));
  lock.unlock();
}

TEST(TimedLockTest, APastDeadlineDoesNotSleep) {
  SpinLock lock;
  lock.lock();
  std::thread([&] {
    EXPECT_FALSE(lock.try_lock_for(hours(-1)));
    EXPECT_FALSE(lock.try_lock_for(hours::zero()));
    EXPECT_FALSE(lock.try_lock_until(steady_clock::time_point::min()));
  }).join();
  EXPECT_FALSE(lock.is_contended());
  lock.unlock();
}

TEST(TimedLockTest, AWaiterWithoutEndIsWokenAndIsSeen) {
  for (const auto timeout : {hours(1), hours::max()}) {
    SpinLock lock;
    lock.lock();
    std::thread waiter([&] {
      EXPECT_TRUE(lock.try_lock_for(timeout));
      lock.unlock();
    });
    while (!lock.is_contended()) std::this_thread::yield();
    lock.unlock();
    waiter.join();
  }
}

// Those that give up leave no sleeper behind: a lost wake-up hangs this test.
TEST(TimedLockTest, ExcludesWhileSomeGiveUp) {
  SpinLock lock;
  uint64_t count = 0;
  std::atomic<uint64_t> taken = 0;
  std::vector<std::thread> all;
  for (int id = 0; id < 6; ++id) {
    all.emplace_back([&, id] {
      for (int round = 0; round < 2'000; ++round) {
        std::unique_lock<SpinLock> held(lock, std::defer_lock);
        if (id % 2 == 0) {
          held.lock();
        } else if (!held.try_lock_for(microseconds(round % 64))) {
          continue;
        }
        ++count;
        ++taken;
        if (round % 32 == 0) std::this_thread::sleep_for(microseconds(100));  // a long hold
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  EXPECT_EQ(count, taken.load());
  EXPECT_FALSE(lock.is_locked());
}

TEST(TimedLockTest, CAbiIsTheSame) {
  lockhost_spinlock_t lock = LOCKHOST_SPINLOCK_INITIALIZER;
  EXPECT_EQ(lockhost_spin_timedlock(&lock, 0), 1);
  EXPECT_EQ(lockhost_spin_is_contended(&lock), 0);
  std::thread([&] { EXPECT_EQ(lockhost_spin_timedlock(&lock, 0), 0); }).join();
  lockhost_spin_unlock(&lock);
}

}  // namespace
}  // namespace lockhost
