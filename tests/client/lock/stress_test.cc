// SPDX-License-Identifier: Apache-2.0
//
// What happens to threads while they hold or wait for locks: signals, cancellation, their end,
// fork, a clock that is set. Each runs for a moment; with LOCKHOST_STRESS_SECONDS for so long.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "client/lock/mutex.h"
#include "client/lock/spinlock.h"

namespace lockhost {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long each test goes on.
steady_clock::duration Length() {
  const char* seconds = getenv("LOCKHOST_STRESS_SECONDS");  // NOLINT(concurrency-mt-unsafe)
  if (seconds == nullptr) return milliseconds(150);
  return std::chrono::seconds(atoi(seconds));  // NOLINT(cert-err34-c)
}

// Threads that take the lock until the end, and what they guard with it.
template <typename Lock>
class Crowd {
 public:
  template <typename Round>
  Crowd(int threads, Round round) {
    for (int id = 0; id < threads; ++id) {
      threads_.emplace_back([this, id, round] {
        std::minstd_rand random(static_cast<unsigned>(id) + 1);
        while (!over_.load(std::memory_order_relaxed)) {
          round(lock_, random);
          ++rounds_;
        }
      });
    }
  }
  ~Crowd() { End(); }

  void End() {
    over_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  Lock& lock() { return lock_; }
  std::vector<std::thread>& threads() { return threads_; }
  uint64_t rounds() const { return rounds_; }

 private:
  Lock lock_;
  std::atomic<bool> over_ = false;
  std::atomic<uint64_t> rounds_ = 0;
  std::vector<std::thread> threads_;
};

void HoldForAWhile(std::minstd_rand& random) {
  if (random() % 64 == 0) std::this_thread::sleep_for(microseconds(50));
}

// Sleeps end early, and errno is nobody else's.
TEST(StressTest, SignalsInterruptHoldersAndWaiters) {
  static std::atomic<uint64_t> handled = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { ++handled; };
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);  // without SA_RESTART
  uint64_t count = 0, with_errno_kept = 0;
  std::atomic<uint64_t> taken = 0;
  Crowd<Mutex> crowd(4, [&](Mutex& mutex, std::minstd_rand& random) {
    errno = 77;  // a lock operation leaves it alone
    const bool timed = random() % 4 == 0;
    if (timed && !mutex.try_lock_for(microseconds(200))) return;
    if (!timed) mutex.lock();
    if (errno == 77) ++with_errno_kept;
    ++count;
    ++taken;
    HoldForAWhile(random);
    mutex.unlock();
  });
  for (const auto end = steady_clock::now() + Length(); steady_clock::now() < end;) {
    for (std::thread& thread : crowd.threads()) pthread_kill(thread.native_handle(), SIGUSR1);
    std::this_thread::sleep_for(microseconds(100));
  }
  crowd.End();
  EXPECT_EQ(count, taken.load());
  EXPECT_EQ(with_errno_kept, count);
  EXPECT_GT(handled.load(), 0u);
  EXPECT_FALSE(crowd.lock().is_locked());
}

// A lock is no cancellation point: a thread that is cancelled in one gets it, and whoever it is
// unwinds through the guard at the next point.
TEST(StressTest, CancelledThreadsUnwindThroughTheirGuards) {
  SpinLock lock;
  uint64_t count = 0;
  for (const auto end = steady_clock::now() + Length(); steady_clock::now() < end;) {
    std::vector<std::thread> all;
    for (int id = 0; id < 3; ++id) {
      all.emplace_back([&] {
        for (;;) {
          {
            const std::lock_guard<SpinLock> held(lock);
            ++count;
            pthread_testcancel();  // while it holds
          }
          pthread_testcancel();
        }
      });
    }
    std::this_thread::sleep_for(microseconds(300));
    for (std::thread& thread : all) pthread_cancel(thread.native_handle());
    for (std::thread& thread : all) thread.join();
    ASSERT_FALSE(lock.is_locked());
  }
  EXPECT_GT(count, 0u);
}

// What a thread leaves behind, its slot and its place, is nobody's business.
TEST(StressTest, ThreadsComeAndGo) {
  uint64_t count = 0;
  SpinLock lock;
  uint64_t expected = 0;
  for (const auto end = steady_clock::now() + Length(); steady_clock::now() < end;) {
    std::vector<std::thread> all;
    for (int id = 0; id < 8; ++id) {
      all.emplace_back([&] {
        const std::lock_guard<SpinLock> held(lock);
        ++count;
      });
    }
    for (std::thread& thread : all) thread.join();
    expected += 8;
  }
  EXPECT_EQ(count, expected);
}

// The lock of a thread that ended with it stays locked, and its waiters can give up.
TEST(StressTest, AThreadThatEndsWhileItHoldsALockKeepsItAndHarmsNoOther) {
  Mutex other;
  for (const auto end = steady_clock::now() + Length(); steady_clock::now() < end;) {
    Mutex lost;
    std::thread([&] { lost.lock(); }).join();
    std::vector<std::thread> waiters;
    for (int id = 0; id < 3; ++id) {
      waiters.emplace_back([&] {
        const std::lock_guard<Mutex> held(other);
        EXPECT_FALSE(lost.try_lock_for(milliseconds(1)));
      });
    }
    for (std::thread& waiter : waiters) waiter.join();
    ASSERT_TRUE(lost.is_locked());
    ASSERT_FALSE(other.is_locked());
  }
}

// A child of fork() finds the locks as they were: one that its thread held is its own, and those
// that others waited for are free of them.
TEST(StressTest, AForkWhileOthersWaitLeavesTheChildALockThatWorks) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer lets no forked child of several threads start one";
#endif
  Crowd<Mutex> crowd(3, [](Mutex& mutex, std::minstd_rand& random) {
    const std::lock_guard<Mutex> held(mutex);
    HoldForAWhile(random);
  });
  for (const auto end = steady_clock::now() + Length(); steady_clock::now() < end;) {
    crowd.lock().lock();
    std::this_thread::sleep_for(microseconds(200));  // the others fall asleep
    const pid_t child = fork();
    if (child == 0) {
      crowd.lock().unlock();
      uint64_t count = 0;
      std::vector<std::thread> all;
      for (int id = 0; id < 3; ++id) {
        all.emplace_back([&] {
          for (int round = 0; round < 100; ++round) {
            const std::lock_guard<Mutex> held(crowd.lock());
            ++count;
          }
        });
      }
      for (std::thread& thread : all) thread.join();
      _exit(count == 300 ? 0 : 1);
    }
    crowd.lock().unlock();
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }
}

// Nobody may set this machine's clock, so the deadline moves instead: it is long past, or years
// ahead, which is what a step of the clock comes to for who waits.
TEST(StressTest, DeadlinesOfAClockThatWasSet) {
  using std::chrono::system_clock;
  Mutex mutex;
  mutex.lock();
  std::thread([&] {
    EXPECT_FALSE(mutex.try_lock_until(system_clock::time_point{}));
    EXPECT_FALSE(mutex.try_lock_until(system_clock::now() - std::chrono::hours(24 * 365)));
    EXPECT_FALSE(mutex.try_lock_until(system_clock::time_point::min()));
  }).join();
  std::thread waiter([&] {
    EXPECT_TRUE(mutex.try_lock_until(system_clock::now() + std::chrono::hours(24 * 3650)));
    mutex.unlock();
    EXPECT_TRUE(mutex.try_lock_until(system_clock::time_point::max()));
    mutex.unlock();
  });
  while (!mutex.is_contended()) std::this_thread::yield();
  mutex.unlock();
  waiter.join();
}

}  // namespace
}  // namespace lockhost
