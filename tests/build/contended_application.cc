// SPDX-License-Identifier: Apache-2.0
//
// Every lock of the library under contention, in an application that is linked as applications
// are: statically, or with a sanitizer that the library was not built with.
#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include "client/lock/lockhost.h"
#include "client/lock/mutex.h"
#include "client/lock/pshared.h"
#include "client/lock/robust_mutex.h"
#include "client/lock/spinlock.h"

namespace {

constexpr int kThreads = 4;
constexpr long kRounds = 3'000;

// Taken before there is anything but what the linker put there.
lockhost::SpinLock first_lock;
int taken_first = 0;
[[gnu::constructor(101)]] void BeforeOtherConstructors() {
  const std::lock_guard<lockhost::SpinLock> held(first_lock);
  ++taken_first;
}

// The C ABI in the shape of the others.
struct CSpinLock {
  void lock() { lockhost_spin_lock(&lock_); }
  void unlock() { lockhost_spin_unlock(&lock_); }
  lockhost_spinlock_t lock_ = LOCKHOST_SPINLOCK_INITIALIZER;
};
struct Robust {
  void lock() { static_cast<void>(mutex_.Lock()); }
  void unlock() { mutex_.Unlock(); }
  lockhost::RobustMutex mutex_;
};

// Long enough inside, now and then, for the others to fall asleep.
template <typename Lock>
bool Excludes(const char* name) {
  Lock lock;
  long count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (long round = 0; round < kRounds; ++round) {
        const std::lock_guard<Lock> held(lock);
        if (++count % 512 == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (count == kThreads * kRounds) return true;
  std::printf("%s: %ld of %ld\n", name, count, kThreads * kRounds);
  return false;
}

// One hands numbers to the other.
template <typename Lock, typename Condition>
bool HandsOver(const char* name) {
  Lock mutex;
  Condition changed;
  long given = 0, taken = 0, sum = 0;
  std::thread taker([&] {
    for (long i = 0; i < kRounds; ++i) {
      std::unique_lock<Lock> held(mutex);
      changed.wait(held, [&] { return given != taken; });
      sum += ++taken;
      changed.notify_all();
    }
  });
  for (long i = 0; i < kRounds; ++i) {
    std::unique_lock<Lock> held(mutex);
    changed.wait(held, [&] { return given == taken; });
    ++given;
    changed.notify_all();
  }
  taker.join();
  if (sum == kRounds * (kRounds + 1) / 2) return true;
  std::printf("%s: %ld\n", name, sum);
  return false;
}

}  // namespace

int main() {
  bool works = taken_first == 1 && !first_lock.is_locked();
  works &= Excludes<lockhost::SpinLock>("SpinLock");
  works &= Excludes<CSpinLock>("lockhost_spin_lock");
  works &= Excludes<lockhost::Mutex>("Mutex");
  works &= Excludes<lockhost::ProcessSharedSpinLock>("ProcessSharedSpinLock");
  works &= Excludes<lockhost::ProcessSharedMutex>("ProcessSharedMutex");
  works &= Excludes<Robust>("RobustMutex");
  works &= HandsOver<lockhost::Mutex, lockhost::CondVar>("CondVar");
  works &= HandsOver<lockhost::ProcessSharedMutex, lockhost::ProcessSharedCondVar>(
      "ProcessSharedCondVar");
  std::puts(lockhost_status_text(lockhost_status()));
  return works ? 0 : 1;
}
