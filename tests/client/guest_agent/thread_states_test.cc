// SPDX-License-Identifier: Apache-2.0
//
// From the scheduler to the lock: real threads run, are preempted and sleep, and the library of
// their process knows.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <functional>
#include <thread>

#include "client/lock/spin_core.h"
#include "tests/client/guest_agent/thread_holder.h"

namespace lockhost::guest_agent {
namespace {

// The platform of the library, which counts what a waiter does before it first sleeps.
struct Waiter {
  int pauses = 0;
  bool slept = false;
  std::function<void()> on_sleep;

  lockhost_platform Platform() {
    lockhost_platform platform = lock::kLinuxPlatform;
    platform.pause = [](void* self, const lockhost_waiting*) {
      auto& waiter = *static_cast<Waiter*>(self);
      if (!waiter.slept) ++waiter.pauses;
      __builtin_ia32_pause();
    };
    platform.wait = [](void* self, uint32_t* word, uint32_t expected, uint64_t timeout_ns,
                       const lockhost_waiting* waiting) {
      auto& waiter = *static_cast<Waiter*>(self);
      if (!waiter.slept && waiter.on_sleep) waiter.on_sleep();
      waiter.slept = true;
      return lock::kLinuxPlatform.wait(nullptr, word, expected, timeout_ns, waiting);
    };
    return platform;
  }
  // Takes and releases the lock.
  void Take(uint32_t* word) {
    const lockhost_platform platform = Platform();
    lockhost_env env = lock::ProcessEnv();
    env.platform = &platform;
    env.context = this;
    lockhost_core_lock(&env, word);
    lockhost_core_unlock(&env, word);
  }
};

constexpr int kPausesBeforeTheFirstLook = 16;

TEST(ThreadStatesTest, AThreadsSlotSaysWhatItDoes) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  InAttachedChild([] {
    Gate gate;
    std::atomic<bool> stop = false;
    Holder holder([&] {
      gate.Pass();
      while (!stop) {
      }
      gate.Pass();
    });
    EXPECT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_ASLEEP)) << "in read()";
    EXPECT_EQ(Look(holder.number()).vcpu, lock::cpu_ids.of_cpu[kHoldersCpu]);
    {
      std::atomic<bool> over = false;
      std::thread rival([&] {
        PinTo(kHoldersCpu);
        while (!over) {
        }
      });
      gate.Open();
      EXPECT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_PREEMPTED)) << "by its rival";
      EXPECT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_ON_CPU)) << "when its turn comes";
      EXPECT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_PREEMPTED)) << "and again";
      over = true;
      rival.join();
    }
    EXPECT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_ON_CPU));
    stop = true;
    EXPECT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_ASLEEP));
    gate.Open();
    holder.Join();
    EXPECT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_UNSPECIFIED)) << "it has ended";
  });
}

TEST(ThreadStatesTest, AWaiterSleepsAtOnceWhereTheHolderSleeps) {
  LOCKHOST_SKIP_FORKED_THREADS();
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  if (!HasTwoCpus()) GTEST_SKIP() << "one CPU: the holder was last seen on the waiter's";
  InAttachedChild([] {
    PinTo(kWaitersCpu);
    Gate gate;
    Holder holder([&] { gate.Pass(); });
    ASSERT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_ASLEEP));
    Waiter waiter;
    waiter.on_sleep = [&] { gate.Open(); };
    waiter.Take(holder.word());
    EXPECT_TRUE(waiter.slept);
    EXPECT_LE(waiter.pauses, kPausesBeforeTheFirstLook);
  });
}

// The holder has the lowest weight there is and a rival beside it: it is preempted most of the
// time, but one attempt may find it on the CPU.
TEST(ThreadStatesTest, AWaiterSleepsAtOnceWhereTheHolderIsPreempted) {
  LOCKHOST_SKIP_FORKED_THREADS();
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  if (!HasTwoCpus()) GTEST_SKIP() << "one CPU: the holder was last seen on the waiter's";
  InAttachedChild([] {
    PinTo(kWaitersCpu);
    bool slept_at_once = false;
    for (int attempt = 0; attempt < 20 && !slept_at_once; ++attempt) {
      std::atomic<bool> over = false, go_on = false;
      std::thread rival([&] {
        PinTo(kHoldersCpu);
        while (!over) {
        }
      });
      Holder holder([&] {
        const sched_param none = {};
        sched_setscheduler(0, SCHED_IDLE, &none);
        while (!go_on) {
        }
      });
      ASSERT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_PREEMPTED));
      Waiter waiter;
      waiter.on_sleep = [&] { over = go_on = true; };
      waiter.Take(holder.word());
      slept_at_once = waiter.slept && waiter.pauses <= kPausesBeforeTheFirstLook;
      rival.join();
    }
    EXPECT_TRUE(slept_at_once);
  });
}

// A page fault that waits: its page comes when the test says so.
TEST(ThreadStatesTest, AHolderInAPageFaultSleeps) {
  const ThreadHost host;
  LOCKHOST_SKIP_WITHOUT_BPF(host);
  const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const int faults = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
  uffdio_api api = {.api = UFFD_API, .features = 0, .ioctls = 0};
  if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0) GTEST_SKIP() << "no userfaultfd here";
  close(faults);
  InAttachedChild([page_bytes] {
    const int uffd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
    uffdio_api agreed = {.api = UFFD_API, .features = 0, .ioctls = 0};
    ASSERT_EQ(ioctl(uffd, UFFDIO_API, &agreed), 0);
    void* memory =
        mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uffdio_range range = {reinterpret_cast<uint64_t>(memory), page_bytes};
    uffdio_register all = {.range = range, .mode = UFFDIO_REGISTER_MODE_MISSING, .ioctls = 0};
    ASSERT_EQ(ioctl(uffd, UFFDIO_REGISTER, &all), 0);
    Holder holder([&] { *static_cast<volatile char*>(memory) = 1; });
    EXPECT_TRUE(holder.Becomes(LOCKHOST_THREAD_STATE_ASLEEP));
    uffdio_zeropage zero = {.range = range, .mode = 0, .zeropage = 0};
    EXPECT_EQ(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), 0);
  });
}

}  // namespace
}  // namespace lockhost::guest_agent
