// SPDX-License-Identifier: Apache-2.0
//
// Mutex and CondVar with real threads.
#include "client/lock/mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <deque>
#include <thread>
#include <vector>

namespace lockhost {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

TEST(MutexTest, ExcludesAlsoWhileHoldersSleep) {
  Mutex mutex;
  uint64_t count = 0;
  std::vector<std::thread> all;
  for (int id = 0; id < 6; ++id) {
    all.emplace_back([&] {
      for (int round = 0; round < 2'000; ++round) {
        std::lock_guard<Mutex> held(mutex);
        ++count;
        if (round % 64 == 0) std::this_thread::sleep_for(microseconds(50));  // a long hold
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  EXPECT_EQ(count, 12'000u);
}

TEST(MutexTest, GivesUpByEitherClockAndNoSooner) {
  Mutex mutex;
  mutex.lock();
  std::thread([&] {
    EXPECT_FALSE(mutex.try_lock());
    auto start = steady_clock::now();
    EXPECT_FALSE(mutex.try_lock_for(milliseconds(5)));
    EXPECT_FALSE(mutex.try_lock_until(steady_clock::now() + milliseconds(5)));
    EXPECT_GE(steady_clock::now() - start, milliseconds(10));
    const auto deadline = system_clock::now() + milliseconds(150);  // more than one look at it
    EXPECT_FALSE(mutex.try_lock_until(deadline));
    EXPECT_GE(system_clock::now(), deadline);
    EXPECT_FALSE(mutex.try_lock_until(system_clock::time_point::min()));
  }).join();
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock_until(system_clock::time_point::min())) << "a free one is taken";
  mutex.unlock();
}

TEST(MutexTest, AWaiterWithoutEndIsWoken) {
  for (const bool by_wall_clock : {false, true}) {
    Mutex mutex;
    mutex.lock();
    std::thread waiter([&] {
      EXPECT_TRUE(by_wall_clock ? mutex.try_lock_until(system_clock::time_point::max())
                                : mutex.try_lock_for(hours::max()));
      mutex.unlock();
    });
    while (!mutex.is_contended()) std::this_thread::yield();
    mutex.unlock();
    waiter.join();
  }
}

// A bounded queue, the usual use of it. A wake-up that is lost hangs this test.
class Queue {
 public:
  void Put(int value) {
    std::unique_lock<Mutex> held(mutex_);
    has_room_.wait(held, [&] { return values_.size() < 4; });
    values_.push_back(value);
    if (value % 2 == 0) held.unlock();  // waking is allowed with and without
    has_values_.notify_one();
  }
  int Take() {
    std::unique_lock<Mutex> held(mutex_);
    while (values_.empty()) has_values_.wait(held);
    const int value = values_.front();
    values_.pop_front();
    has_room_.notify_one();
    return value;
  }

 private:
  Mutex mutex_;
  CondVar has_room_, has_values_;
  std::deque<int> values_;
};

TEST(CondVarTest, NoValueIsLostBetweenProducersAndConsumers) {
  constexpr int kThreads = 4, kValues = 5'000;
  Queue queue;
  std::atomic<int64_t> sum = 0;
  std::vector<std::thread> all;
  for (int id = 0; id < kThreads; ++id) {
    all.emplace_back([&] {
      for (int value = 1; value <= kValues; ++value) queue.Put(value);
    });
    all.emplace_back([&] {
      for (int i = 0; i < kValues; ++i) sum += queue.Take();
    });
  }
  for (std::thread& thread : all) thread.join();
  EXPECT_EQ(sum, int64_t{kThreads} * kValues * (kValues + 1) / 2);
}

TEST(CondVarTest, NotifyAllWakesAll) {
  Mutex mutex;
  CondVar changed;
  int round = 0;
  int arrived = 0;
  std::vector<std::thread> all;
  for (int id = 0; id < 8; ++id) {
    all.emplace_back([&] {
      for (int mine = 0; mine < 500; ++mine) {
        std::unique_lock<Mutex> held(mutex);
        if (++arrived == 8) {
          arrived = 0;
          ++round;
          changed.notify_all();
        } else {
          changed.wait(held, [&] { return round > mine; });
        }
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  EXPECT_EQ(round, 500);
}

TEST(CondVarTest, AWaitEndsAtItsDeadlineAndHoldsTheMutex) {
  Mutex mutex;
  CondVar never;
  std::unique_lock<Mutex> held(mutex);
  const auto start = steady_clock::now();
  EXPECT_EQ(never.wait_for(held, milliseconds(5)), std::cv_status::timeout);
  EXPECT_EQ(never.wait_until(held, steady_clock::now() + milliseconds(5)), std::cv_status::timeout);
  EXPECT_GE(steady_clock::now() - start, milliseconds(10));
  const auto deadline = system_clock::now() + milliseconds(5);
  EXPECT_EQ(never.wait_until(held, deadline), std::cv_status::timeout);
  EXPECT_GE(system_clock::now(), deadline);
  EXPECT_EQ(never.wait_for(held, hours(-1)), std::cv_status::timeout);
  EXPECT_FALSE(never.wait_for(held, milliseconds(1), [] { return false; }));
  EXPECT_FALSE(mutex.try_lock());
}

TEST(CondVarTest, AWaitWithADeadlineIsWokenBeforeIt) {
  Mutex mutex;
  CondVar changed;
  bool is_set = false;
  std::thread waiter([&] {
    std::unique_lock<Mutex> held(mutex);
    EXPECT_TRUE(changed.wait_for(held, hours(1), [&] { return is_set; }));
    is_set = false;
    EXPECT_TRUE(changed.wait_until(held, system_clock::now() + hours(1), [&] { return is_set; }));
  });
  for (int i = 0; i < 2; ++i) {
    std::unique_lock<Mutex> held(mutex);
    is_set = true;
    changed.notify_all();
    held.unlock();
    while (i == 0) {
      std::lock_guard<Mutex> look(mutex);
      if (!is_set) break;
    }
  }
  waiter.join();
}

TEST(CondVarTest, KeepsErrno) {
  Mutex mutex;
  CondVar never;
  std::unique_lock<Mutex> held(mutex);
  errno = 7;
  never.wait_for(held, milliseconds(1));
  never.notify_all();
  EXPECT_EQ(errno, 7);
}

TEST(CondVarTest, CAbiIsTheSame) {
  lockhost_mutex_t mutex = LOCKHOST_MUTEX_INITIALIZER;
  lockhost_cond_t cond = LOCKHOST_COND_INITIALIZER;
  lockhost_mutex_lock(&mutex);
  EXPECT_EQ(lockhost_mutex_trylock(&mutex), 0);
  std::thread([&] {
    EXPECT_EQ(lockhost_mutex_timedlock(&mutex, LOCKHOST_CLOCK_REALTIME, 0), 0);
    EXPECT_EQ(lockhost_mutex_timedlock(&mutex, LOCKHOST_CLOCK_MONOTONIC, 0), 0);
  }).join();
  EXPECT_EQ(lockhost_cond_timedwait(&cond, &mutex, LOCKHOST_CLOCK_MONOTONIC, 0), 0);
  EXPECT_EQ(lockhost_mutex_is_contended(&mutex), 0);
  lockhost_cond_signal(&cond);
  lockhost_cond_broadcast(&cond);
  lockhost_mutex_unlock(&mutex);
}

}  // namespace
}  // namespace lockhost
