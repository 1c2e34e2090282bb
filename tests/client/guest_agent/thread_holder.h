// SPDX-License-Identifier: Apache-2.0
//
// Threads that hold a lock and do what a test says, in a process that knows of its threads.
#ifndef LOCKHOST_TESTS_CLIENT_GUEST_AGENT_THREAD_HOLDER_H_
#define LOCKHOST_TESTS_CLIENT_GUEST_AGENT_THREAD_HOLDER_H_

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "client/lock/linux_platform.h"
#include "client/lock/lockhost.h"
#include "client/lock/process.h"
#include "tests/client/guest_agent/thread_host.h"
#include "tests/client/lock/library_pages.h"

namespace lockhost::guest_agent {

inline constexpr int kHoldersCpu = 0;
inline constexpr int kWaitersCpu = 1;

inline void PinTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ASSERT_EQ(pthread_setaffinity_np(pthread_self(), sizeof(set), &set), 0);
}

inline bool HasTwoCpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_ISSET(kHoldersCpu, &set) &&
         CPU_ISSET(kWaitersCpu, &set);
}

// In a child of fork() a lock of AddressSanitizer's allocator may be held for ever, by a thread
// that only the parent has. A child that goes on as one thread mostly gets by.
#ifdef __SANITIZE_ADDRESS__
#define LOCKHOST_SKIP_FORKED_THREADS() GTEST_SKIP() << "threads of a forked child hang in ASan"
#else
#define LOCKHOST_SKIP_FORKED_THREADS() static_cast<void>(0)
#endif

inline std::string Description() {
  std::array<char, 400> text{};
  lockhost_describe(text.data(), text.size());
  return text.data();
}

inline bool ThreadsAreKnown() { return Description().find("; threads known") != std::string::npos; }

inline lockhost_thread_view Look(uint32_t number) {
  return lockhost_read_thread(&lock::process_threads, number - 1,
                              lock::kLinuxPlatform.now_ns(nullptr));
}

// A thread, pinned to a CPU, that has taken a lock and does with it what the test says.
class Holder {
 public:
  explicit Holder(std::function<void()> while_holding)
      : thread_([this, while_holding = std::move(while_holding)] {
          PinTo(kHoldersCpu);
          lockhost_spin_lock(&lock_);
          number_ = lock::ThisThread().self.number;
          while_holding();
          lockhost_spin_unlock(&lock_);
        }) {
    EXPECT_TRUE(Eventually([this] { return number_.load() != 0; }));
  }
  ~Holder() { Join(); }
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  uint32_t number() const { return number_; }
  uint32_t* word() { return &lock_.word; }
  bool Becomes(uint32_t state) {
    return Eventually([&] { return Look(number()).state == state; });
  }

 private:
  lockhost_spinlock_t lock_ = LOCKHOST_SPINLOCK_INITIALIZER;
  std::atomic<uint32_t> number_ = 0;
  std::thread thread_;
};

// A pipe whose reader sleeps until the test lets it go.
class Gate {
 public:
  Gate() { EXPECT_EQ(pipe(ends_), 0); }
  void Pass() {
    char byte;
    EXPECT_EQ(read(ends_[0], &byte, 1), 1);
  }
  void Open() { EXPECT_EQ(write(ends_[1], "x", 1), 1); }

 private:
  int ends_[2];
};

// Runs `body` in a process that has attached to `host`.
inline void InAttachedChild(const std::function<void()>& body) {
  InChild([&] {
    EXPECT_EQ(lockhost_attach(), LOCKHOST_STATUS_STALE) << "there is no host";
    ASSERT_TRUE(ThreadsAreKnown()) << Description();
    body();
  });
}

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_TESTS_CLIENT_GUEST_AGENT_THREAD_HOLDER_H_
