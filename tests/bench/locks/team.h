// SPDX-License-Identifier: Apache-2.0
//
// Threads that do the same for a while, and what they have done in a window of that time.
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_TEAM_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_TEAM_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "tests/bench/locks/sample.h"

namespace lockhost::bench {

// One thread of a team; written by it alone.
struct alignas(128) Member {
  int index = 0;
  std::atomic<uint64_t> done = 0;  // read meanwhile by the team
  uint64_t cpu_ns = 0;
  lab::Histogram acquire_ns = {};

  void CountOne() {
    done.store(done.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
};

// Which lock is next, by Zipf's law: the lock of rank r is drawn 1/r as often as the first.
class LockChoice {
 public:
  LockChoice(int locks, int seed);
  int Next() { return sequence_[next_++ % sequence_.size()]; }

 private:
  std::array<uint8_t, 1024> sequence_;
  size_t next_ = 0;
};

class Team {
 public:
  // What each member does until `stop` is true.
  using Body = std::function<void(Member& self, const std::atomic<bool>& stop)>;

  explicit Team(int threads) : members_(static_cast<size_t>(threads)) {}

  // Starts the threads together, lets them warm up for a tenth of the time, and fills in
  // throughput, fairness and acquire times of the window that follows.
  void Run(const RunPlan& plan, const Body& body, Sample* sample);

  // CPU time that was not spent on `useful_ns` for each thing done, as a share.
  double OverheadShare(double useful_ns) const;

 private:
  std::vector<uint64_t> Counts() const;

  std::vector<Member> members_;
};

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_TEAM_H_
