// SPDX-License-Identifier: Apache-2.0
//
// The process-shared locks between real processes, some of which are killed.
#include "client/lock/pshared.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <random>
#include <thread>
#include <vector>

namespace lockhost {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// What the processes share.
struct Shared {
  ProcessSharedSpinLock lock;
  ProcessSharedMutex mutex;
  ProcessSharedCondVar condition;
  std::atomic<int> waiting = 0;
  uint64_t count = 0;  // guarded
};

class ProcessSharedTest : public testing::Test {
 protected:
  ProcessSharedTest()
      : shared_(*new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared) {}
  ~ProcessSharedTest() override { munmap(&shared_, sizeof(Shared)); }

  template <typename Body>
  static pid_t Start(Body body) {
    const pid_t child = fork();
    if (child != 0) return child;
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  static void ExpectSuccess(pid_t child) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  static void Kill(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  template <typename Lock>
  void ExpectExclusion(Lock& lock) {
    constexpr int kProcesses = 4, kRounds = 5'000;
    std::vector<pid_t> children;
    for (int id = 0; id < kProcesses; ++id) {
      children.push_back(Start([&] {
        for (int round = 0; round < kRounds; ++round) {
          const std::lock_guard<Lock> held(lock);
          ++shared_.count;
          if (round % 512 == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
      }));
    }
    for (const pid_t child : children) ExpectSuccess(child);
    EXPECT_EQ(shared_.count, uint64_t{kProcesses} * kRounds);
  }

  Shared& shared_;
};

TEST_F(ProcessSharedTest, TheSpinLockExcludes) { ExpectExclusion(shared_.lock); }

TEST_F(ProcessSharedTest, TheMutexExcludes) { ExpectExclusion(shared_.mutex); }

TEST_F(ProcessSharedTest, AnUnlockWakesASleeperOfAnotherProcess) {
  shared_.mutex.lock();
  const pid_t child = Start([&] {
    shared_.waiting = 1;
    EXPECT_TRUE(shared_.mutex.try_lock_for(seconds(60)));
    shared_.mutex.unlock();
  });
  while (shared_.waiting == 0) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(1));  // most likely it sleeps now
  shared_.mutex.unlock();
  ExpectSuccess(child);
}

TEST_F(ProcessSharedTest, AConditionIsSignalledFromProcessToProcess) {
  std::vector<pid_t> children;
  for (int id = 0; id < 3; ++id) {
    children.push_back(Start([&] {
      std::unique_lock<ProcessSharedMutex> held(shared_.mutex);
      ++shared_.waiting;
      shared_.condition.wait(held, [&] { return shared_.count > 0; });
      --shared_.count;
    }));
  }
  while (shared_.waiting < 3) std::this_thread::yield();
  for (int id = 0; id < 3; ++id) {
    const std::lock_guard<ProcessSharedMutex> held(shared_.mutex);
    ++shared_.count;
    shared_.condition.notify_one();
  }
  for (const pid_t child : children) ExpectSuccess(child);
  EXPECT_EQ(shared_.count, 0u);
}

TEST_F(ProcessSharedTest, GivesUpAtItsDeadline) {
  const auto start = steady_clock::now();
  const std::lock_guard<ProcessSharedSpinLock> held(shared_.lock);
  std::unique_lock<ProcessSharedMutex> waits(shared_.mutex);
  EXPECT_FALSE(shared_.condition.wait_for(waits, milliseconds(120), [] { return false; }));
  EXPECT_GE(steady_clock::now() - start, milliseconds(120)) << "though it looks every 50 ms";
  ExpectSuccess(Start([&] {
    EXPECT_FALSE(shared_.lock.try_lock_for(milliseconds(5)));
    EXPECT_FALSE(shared_.lock.try_lock_until(steady_clock::time_point::min()));
    EXPECT_FALSE(shared_.mutex.try_lock_for(milliseconds(5)));
    EXPECT_FALSE(shared_.mutex.try_lock_until(std::chrono::system_clock::now() + milliseconds(5)));
  }));
}

// Whoever is woken, or awake on behalf of those who sleep, may be killed before it does
// anything: a wake-up that is lost with it hangs this test.
TEST_F(ProcessSharedTest, KilledWaitersLeaveNobodyAsleep) {
  const auto wait_and_count = [&](int rounds) {
    std::minstd_rand random(static_cast<unsigned>(getpid()));
    for (int round = 0; round < rounds; ++round) {
      // Nobody is killed as a holder: it would keep the lock.
      sigset_t all, before;
      sigfillset(&all);
      shared_.mutex.lock();
      sigprocmask(SIG_BLOCK, &all, &before);
      ++shared_.count;
      shared_.mutex.unlock();
      sigprocmask(SIG_SETMASK, &before, nullptr);
      if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  };
  std::vector<pid_t> victims;
  for (int turn = 0; turn < 10; ++turn) {
    // The holder is this process, so that the victims are waiters when they die.
    shared_.mutex.lock();
    for (int id = 0; id < 3; ++id) {
      victims.push_back(Start([&] {
        ++shared_.waiting;
        shared_.mutex.lock();
        pause();
      }));
    }
    const pid_t survivor = Start([&] { wait_and_count(3); });
    while (shared_.waiting < 3 * (turn + 1)) std::this_thread::yield();
    std::this_thread::sleep_for(milliseconds(turn % 2));
    for (const pid_t victim : victims) Kill(victim);
    victims.clear();
    shared_.mutex.unlock();
    ExpectSuccess(survivor);
  }
  EXPECT_EQ(shared_.count, 30u);
}

// An heir that was killed keeps the sleepers asleep until they look by themselves.
TEST_F(ProcessSharedTest, ADeadHeirsBitIsOutlived) {
  lockhost_pshared_mutex_t& mutex = *shared_.mutex.native_handle();
  shared_.mutex.lock();
  __atomic_fetch_or(&mutex.word, 1u << 30, __ATOMIC_RELAXED);  // as of a spinning waiter
  const pid_t sleeper = Start([&] {
    shared_.waiting = 1;
    EXPECT_TRUE(shared_.mutex.try_lock_for(seconds(60)));
    shared_.mutex.unlock();
  });
  while (shared_.waiting == 0) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(2));
  __atomic_fetch_or(&mutex.word, 1u << 30, __ATOMIC_RELAXED);
  __atomic_fetch_and(&mutex.word, ~(1u << 31), __ATOMIC_RELAXED);
  shared_.mutex.unlock();
  ExpectSuccess(sleeper);
}

}  // namespace
}  // namespace lockhost
