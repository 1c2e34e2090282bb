// SPDX-License-Identifier: Apache-2.0
//
// RobustMutex between real processes, whose owners are killed.
#include "client/lock/robust_mutex.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "client/lock/robust_word.h"

namespace lockhost {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// What the processes share.
struct Shared {
  RobustMutex mutex;
  std::atomic<int> step = 0;
  // Guarded, and equal whenever nobody is inside.
  volatile uint64_t entered = 0;
  volatile uint64_t left = 0;
};

class RobustMutexTest : public testing::Test {
 protected:
  RobustMutexTest()
      : shared_(*new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared) {}
  ~RobustMutexTest() override { munmap(&shared_, sizeof(Shared)); }

  // Runs `body` in a process of its own.
  template <typename Body>
  static pid_t Start(Body body) {
    const pid_t child = fork();
    if (child != 0) return child;
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  static void Kill(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  static void ExpectSuccess(pid_t child) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  void Await(int step) {
    while (shared_.step != step) std::this_thread::yield();
  }
  // A process that dies with the mutex held.
  void LetAnOwnerDie() {
    const pid_t owner = Start([&] {
      EXPECT_EQ(shared_.mutex.Lock(), 0);
      kill(getpid(), SIGKILL);
    });
    waitpid(owner, nullptr, 0);
  }

  Shared& shared_;
};

TEST_F(RobustMutexTest, ExcludesBetweenProcesses) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(Start([&] {
      for (int round = 0; round < 5'000; ++round) {
        ASSERT_EQ(shared_.mutex.Lock(), 0);
        shared_.entered = shared_.entered + 1;
        shared_.mutex.Unlock();
      }
    }));
  }
  for (const pid_t child : children) ExpectSuccess(child);
  EXPECT_EQ(shared_.entered, 20'000u);
}

TEST_F(RobustMutexTest, AWaiterGetsItSoonAfterItsOwnerWasKilled) {
  const pid_t owner = Start([&] {
    EXPECT_EQ(shared_.mutex.Lock(), 0);
    shared_.step = 1;
    pause();
  });
  Await(1);
  EXPECT_EQ(shared_.mutex.TryLock(), EBUSY);
  EXPECT_EQ(shared_.mutex.TryLockFor(milliseconds(120)), ETIMEDOUT) << "it lives";
  steady_clock::time_point died;
  std::thread killer([&] {
    Kill(owner);
    died = steady_clock::now();
  });
  EXPECT_EQ(shared_.mutex.Lock(), EOWNERDEAD);
  const auto acquired = steady_clock::now();
  killer.join();
  EXPECT_LT(acquired - died, seconds(5)) << "50 ms on a machine that has time";
  shared_.mutex.MarkConsistent();
  shared_.mutex.Unlock();
  EXPECT_EQ(shared_.mutex.Lock(), 0);
  shared_.mutex.Unlock();
}

TEST_F(RobustMutexTest, AnOwnerThatIsAZombieIsDead) {
  const pid_t owner = Start([&] {
    EXPECT_EQ(shared_.mutex.Lock(), 0);
    shared_.step = 1;
  });
  Await(1);
  EXPECT_EQ(shared_.mutex.TryLockFor(seconds(30)), EOWNERDEAD);  // nobody has waited for it yet
  shared_.mutex.MarkConsistent();
  shared_.mutex.Unlock();
  waitpid(owner, nullptr, 0);
}

TEST_F(RobustMutexTest, AThreadThatExitsWithoutUnlockIsADeadOwner) {
  std::thread([&] { EXPECT_EQ(shared_.mutex.Lock(), 0); }).join();
  EXPECT_EQ(shared_.mutex.TryLockFor(seconds(30)), EOWNERDEAD);
}

TEST_F(RobustMutexTest, ReleasedInDisorderNobodyGetsIt) {
  LetAnOwnerDie();
  EXPECT_EQ(shared_.mutex.TryLock(), EOWNERDEAD);
  const pid_t waiter = Start([&] {
    shared_.step = 1;
    EXPECT_EQ(shared_.mutex.Lock(), ENOTRECOVERABLE);
  });
  Await(1);
  shared_.mutex.Unlock();
  EXPECT_EQ(shared_.mutex.TryLock(), ENOTRECOVERABLE);
  EXPECT_EQ(shared_.mutex.TryLockFor(milliseconds(1)), ENOTRECOVERABLE);
  ExpectSuccess(waiter);
}

TEST_F(RobustMutexTest, WhoDiesWhilePuttingInOrderLeavesItInDisorder) {
  LetAnOwnerDie();
  const pid_t second = Start([&] {
    EXPECT_EQ(shared_.mutex.TryLock(), EOWNERDEAD);
    kill(getpid(), SIGKILL);
  });
  waitpid(second, nullptr, 0);
  EXPECT_EQ(shared_.mutex.TryLock(), EOWNERDEAD);
}

TEST_F(RobustMutexTest, AForkedChildIsAnOwnerOfItsOwn) {
  ASSERT_EQ(shared_.mutex.Lock(), 0);
  const pid_t child = Start([&] {
    EXPECT_EQ(shared_.mutex.TryLock(), EBUSY) << "its parent's";
    shared_.step = 1;
    EXPECT_EQ(shared_.mutex.Lock(), 0);
    kill(getpid(), SIGKILL);
  });
  Await(1);
  shared_.mutex.Unlock();
  waitpid(child, nullptr, 0);
  EXPECT_EQ(shared_.mutex.TryLock(), EOWNERDEAD) << "the parent lives, but is not the owner";
}

// Processes are killed at any moment; no data are lost, nobody waits for ever.
TEST_F(RobustMutexTest, SurvivesKillsAtAnyMoment) {
  const auto work = [&](uint64_t rounds) {
    for (uint64_t round = 0; round < rounds; ++round) {
      const int result = shared_.mutex.Lock();
      ASSERT_TRUE(result == 0 || result == EOWNERDEAD) << result;
      if (result == EOWNERDEAD) {
        shared_.left = shared_.entered;  // puts the data in order
        shared_.mutex.MarkConsistent();
      }
      EXPECT_EQ(shared_.entered, shared_.left);
      shared_.entered = shared_.entered + 1;
      shared_.left = shared_.left + 1;
      shared_.mutex.Unlock();
    }
  };
  std::minstd_rand random(1);
  const pid_t survivor = Start([&] { work(20'000); });
  for (int i = 0; i < 30; ++i) {
    const pid_t victim = Start([&] { work(UINT64_MAX); });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 5'000));
    Kill(victim);
  }
  ExpectSuccess(survivor);
  const int result = shared_.mutex.Lock();
  EXPECT_TRUE(result == 0 || result == EOWNERDEAD);
}

TEST(RobustWordTest, AThreadWithTheOwnersIdThatStartedAtAnotherTimeIsNotTheOwner) {
  const std::string text =
      "77 (a (b) c) S 1 77 77 0 -1 4194304 9 0 0 0 1 2 0 0 20 0 1 0 123456 9 9 9";
  EXPECT_TRUE(lock::IsAlive({77, 123'456}, text.data(), text.size()));
  EXPECT_FALSE(lock::IsAlive({77, 123'455}, text.data(), text.size()));
  EXPECT_TRUE(lock::IsAlive({77, 0}, text.data(), text.size())) << "it could not read its own";
  const std::string zombie = "77 (x) Z 1 77 77 0 -1 4 9 0 0 0 1 2 0 0 20 0 1 0 123456 9";
  EXPECT_FALSE(lock::IsAlive({77, 123'456}, zombie.data(), zombie.size()));
}

TEST(RobustWordTest, WhatIsNoStatFileSaysNothingAgainstTheOwner) {
  for (const std::string text : {"", ")", "1 (x", "1 (x) S", "1 (x) S 2 3", "garbage\n"}) {
    EXPECT_FALSE(lock::ParseThreadStat(text.data(), text.size()).valid) << text;
    EXPECT_TRUE(lock::IsAlive({1, 5}, text.data(), text.size())) << text;
  }
}

TEST(RobustWordTest, HoldsTheLargestThreadId) {
  const lock::ThreadIdentity last = {(1u << 22) - 1, 0xffffffff};
  const uint64_t word = lock::OwnerBits(last) | lock::kRobustSleepers | lock::kInDisorder;
  EXPECT_EQ(lock::OwnerOf(word).id, last.id);
  EXPECT_EQ(lock::OwnerOf(word).started, last.started);
  EXPECT_TRUE(lock::IsOwned(word));
  EXPECT_FALSE(lock::IsOwned(lock::kRobustSleepers | lock::kLost));
}

}  // namespace
}  // namespace lockhost
