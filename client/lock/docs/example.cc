// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue between threads, and a counter on its hot path.
#include <array>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "client/lock/lockhost.h"
#include "client/lock/mutex.h"
#include "client/lock/spinlock.h"

namespace {

// Whoever finds it full or empty sleeps, and holds the mutex for as long as a copy takes: Mutex.
class Queue {
 public:
  void Put(int value) {
    std::unique_lock held(mutex_);
    has_room_.wait(held, [this] { return values_.size() < kRoom; });
    values_.push_back(value);
    held.unlock();
    has_values_.notify_one();
  }
  int Take() {
    std::unique_lock held(mutex_);
    has_values_.wait(held, [this] { return !values_.empty(); });
    const int value = values_.front();
    values_.pop_front();
    held.unlock();
    has_room_.notify_one();
    return value;
  }

 private:
  static constexpr size_t kRoom = 16;
  lockhost::Mutex mutex_;
  lockhost::CondVar has_room_, has_values_;
  std::deque<int> values_;
};

// Two additions, nothing that sleeps: SpinLock.
class Statistics {
 public:
  void Add(int value) {
    const std::lock_guard held(lock_);
    ++count_;
    sum_ += value;
  }
  long sum() const { return sum_; }
  long count() const { return count_; }

 private:
  lockhost::SpinLock lock_;
  long count_ = 0;  // guarded
  long sum_ = 0;
};

}  // namespace

int main() {
  constexpr int kThreads = 3, kValues = 1'000;
  Queue queue;
  Statistics statistics;
  std::vector<std::thread> threads;
  for (int id = 0; id < kThreads; ++id) {
    threads.emplace_back([&] {
      for (int value = 1; value <= kValues; ++value) queue.Put(value);
    });
    threads.emplace_back([&] {
      for (int i = 0; i < kValues; ++i) statistics.Add(queue.Take());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::array<char, 400> text{};
  lockhost_describe(text.data(), text.size());
  std::printf("%ld values, sum %ld\n%s\n", statistics.count(), statistics.sum(), text.data());
  return statistics.sum() == kThreads * kValues * (kValues + 1L) / 2 ? 0 : 1;
}
