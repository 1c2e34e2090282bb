// SPDX-License-Identifier: Apache-2.0
//
// Slots of threads, and what becomes of them with threads, forks, other programs and the agent.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "client/lock/inline_path.h"
#include "client/lock/thread_slots.h"
#include "tests/client/guest_agent/thread_holder.h"

namespace lockhost::guest_agent {
namespace {

TEST(ThreadLifetimesTest, SlotsOfThreadsThatEndedAreUsedAgain) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  InAttachedChild([] {
    lockhost_spinlock_t lock = LOCKHOST_SPINLOCK_INITIALIZER;
    lockhost_spin_lock(&lock);
    lockhost_spin_unlock(&lock);
    const size_t before = lock::ThreadSlotsTaken();
    for (int i = 0; i < 2'000; ++i) {
      std::thread([&] {
        lockhost_spin_lock(&lock);
        EXPECT_NE(lock::ThisThread().self.number, 0u) << "thread " << i;
        lockhost_spin_unlock(&lock);
      }).join();
    }
    EXPECT_EQ(lock::ThreadSlotsTaken(), before);
    while (lock::TakeThreadNumber() != 0) {
    }
    EXPECT_EQ(lock::ThreadSlotsTaken(), size_t{LOCKHOST_MAX_THREAD_SLOTS});
    std::thread([&] {
      lockhost_spin_lock(&lock);
      EXPECT_EQ(lock::HolderName(lock.word), LOCKHOST_UNKNOWN_VCPU)
          << "a thread without a slot names nobody";
      lockhost_spin_unlock(&lock);
    }).join();
  });
}

TEST(ThreadLifetimesTest, AForkedChildNamesVcpusAgainAndItsParentThreads) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  InAttachedChild([] {
    lockhost_spinlock_t lock = LOCKHOST_SPINLOCK_INITIALIZER;
    lockhost_spin_lock(&lock);
    EXPECT_EQ(lock::HolderName(lock.word) + 1, lock::ThisThread().self.number);
    lockhost_spin_unlock(&lock);
    InChild([&lock] {
      EXPECT_EQ(lockhost_thread_slots(&lock::process_threads), 0u);
      EXPECT_NE(Description().find("child of fork()"), std::string::npos) << Description();
      PinTo(kHoldersCpu);
      lockhost_spin_lock(&lock);
      EXPECT_EQ(lock::HolderName(lock.word), lock::cpu_ids.of_cpu[kHoldersCpu]);
      lockhost_spin_unlock(&lock);
    });
    EXPECT_TRUE(ThreadsAreKnown());
  });
}

TEST(ThreadLifetimesTest, AnotherProgramInTheSameProcessRegistersAnew) {
  if (getenv("LOCKHOST_TEST_AFTER_EXEC") != nullptr) {
    lockhost_attach();
    EXPECT_TRUE(ThreadsAreKnown()) << Description();
    return;
  }
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  InAttachedChild([] {
    setenv("LOCKHOST_TEST_AFTER_EXEC", "1", 1);
    execl("/proc/self/exe", "threads_test",
          "--gtest_filter=ThreadLifetimesTest.AnotherProgramInTheSameProcessRegistersAnew",
          nullptr);
    FAIL();
  });
  EXPECT_EQ(host.Results(LOCKHOST_THREAD_RESULT_GRANTED), 2u);
  EXPECT_EQ(host.Results(LOCKHOST_THREAD_RESULT_ALREADY), 0u);
}

// What the page says last would be said for ever.
TEST(ThreadLifetimesTest, WhenTheAgentEndsThreadsAreNotKnownAnyMore) {
  InChild([] {
    ThreadHost host;
    LOCKHOST_SKIP_WITHOUT_BPF(host);
    lockhost_attach();
    ASSERT_TRUE(ThreadsAreKnown()) << Description();
    Gate gate;
    Holder holder([&] { gate.Pass(); });
    ASSERT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_ASLEEP));
    host.End();
    EXPECT_EQ(Look(holder.number()).state, uint32_t{LOCKHOST_THREAD_STATE_UNSPECIFIED});
    EXPECT_FALSE(ThreadsAreKnown());
    uint32_t free_word = 0;
    lock::LockSlow(&free_word);  // whoever waits next finds out for good
    EXPECT_EQ(lockhost_thread_slots(&lock::process_threads), 0u);
    EXPECT_NE(Description().find("has ended"), std::string::npos) << Description();
    gate.Open();
  });
}

TEST(ThreadLifetimesTest, CountersSayThatThreadsWereBound) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  InAttachedChild([] {
    Gate gate;
    Holder holder([&] { gate.Pass(); });
    EXPECT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_ASLEEP));
    gate.Open();
  });
  EXPECT_TRUE(Eventually([&] { return host.stats().processes.load() == 0; }));
  EXPECT_TRUE(Eventually([&] { return host.stats().bound.load() >= 1; }));
  EXPECT_EQ(host.stats().binds_failed.load(), 0u);
}

}  // namespace
}  // namespace lockhost::guest_agent
