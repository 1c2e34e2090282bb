// SPDX-License-Identifier: Apache-2.0
//
// The workloads, over any lock of the shape of spinning_peers.h: templates, so that no lock
// pays for a call that another does not need.
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_WORKLOADS_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_WORKLOADS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/bench/locks/sample.h"
#include "tests/bench/locks/team.h"
#include "tests/bench/locks/work.h"

namespace lockhost::bench {

// A lock and what it guards, which nothing but the lock protects.
template <typename Lock>
struct alignas(128) Guarded {
  Lock lock;
  alignas(64) uint64_t entered = 0;
  uint64_t overlaps = 0;  // somebody else came while one was inside
};

// Locks, works inside, unlocks. Counts in `self` how long it took to get the lock.
template <typename Lock>
class Critical {
 public:
  Critical(const Cell& cell, const RunPlan& plan)
      : loops_(static_cast<uint64_t>(cell.cs_ns * plan.loops_per_ns)),
        ns_per_tick_(1 / plan.ticks_per_ns),
        // To read the clock twice costs as much as a short critical section.
        time_every_(cell.cs_ns < 1'000 ? 8 : 1) {}

  void Enter(Guarded<Lock>& guarded, Member& self) {
    typename Lock::Node node;
    if (++turns_ % time_every_ == 0) {
      const uint64_t begin = __builtin_ia32_rdtsc();
      guarded.lock.Lock(node);
      const auto ticks = static_cast<double>(__builtin_ia32_rdtsc() - begin);
      self.acquire_ns.Add(static_cast<uint64_t>(ticks * ns_per_tick_));
    } else {
      guarded.lock.Lock(node);
    }
    const uint64_t turn = ++guarded.entered;
    Work(loops_);
    if (guarded.entered != turn) ++guarded.overlaps;
    guarded.lock.Unlock(node);
  }

 private:
  const uint64_t loops_;
  const double ns_per_tick_;
  const uint32_t time_every_;
  uint32_t turns_ = 0;
};

template <typename Lock>
void RunThreads(const Cell& cell, const RunPlan& plan, Sample* sample) {
  std::vector<Guarded<Lock>> guarded(static_cast<size_t>(cell.locks));
  std::atomic<uint64_t> turns = 0;
  Team team(cell.threads);
  const auto gap_loops = static_cast<uint64_t>(cell.gap_ns * plan.loops_per_ns);
  const auto body = [&](Member& self, const std::atomic<bool>& stop) {
    LockChoice choice(cell.locks, self.index);
    Critical<Lock> critical(cell, plan);
    while (!stop.load(std::memory_order_relaxed)) {
      critical.Enter(guarded[static_cast<size_t>(choice.Next())], self);
      self.CountOne();
      Work(gap_loops);
    }
    turns += self.done;
  };
  team.Run(plan, body, sample);
  sample->spin_cpu_share = team.OverheadShare(cell.cs_ns + cell.gap_ns);
  uint64_t entered = 0;
  for (const Guarded<Lock>& one : guarded) {
    entered += one.entered;
    sample->exclusion_errors += one.overlaps;
  }
  sample->exclusion_errors += entered != turns ? 1 : 0;
}

// Where all members of a phase meet; whoever comes last lets the others go on. Those wait
// on the lock's own condition variable, or where it has none on the phase's number.
template <typename Lock>
class Meeting {
 public:
  explicit Meeting(int members) : members_(members) {}

  // False: that was the last phase.
  bool Meet(const std::atomic<bool>& stop) {
    typename Lock::Node node;
    lock_.Lock(node);
    const uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (++arrived_ == members_) {
      arrived_ = 0;
      if (stop.load(std::memory_order_relaxed)) over_.store(true, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      WakeAllAndUnlock(node);
    } else {
      WaitAndUnlock(node, phase);
    }
    return !over_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr bool kHasCondition = requires { typename Lock::Condition; };
  struct None {};
  template <typename T, bool>
  struct ConditionOf {
    using Type = None;
  };
  template <typename T>
  struct ConditionOf<T, true> {
    using Type = typename T::Condition;
  };

  void WakeAllAndUnlock(typename Lock::Node& node) {
    if constexpr (kHasCondition) {
      condition_.WakeAll();
      lock_.Unlock(node);
    } else {
      lock_.Unlock(node);
      phase_.notify_all();
    }
  }
  void WaitAndUnlock(typename Lock::Node& node, uint32_t phase) {
    if constexpr (kHasCondition) {
      while (phase_.load(std::memory_order_relaxed) == phase) condition_.Wait(lock_);
      lock_.Unlock(node);
    } else {
      lock_.Unlock(node);
      phase_.wait(phase, std::memory_order_acquire);
    }
  }

  const int members_;
  Lock lock_;
  int arrived_ = 0;
  std::atomic<uint32_t> phase_ = 0;
  std::atomic<bool> over_ = false;
  typename ConditionOf<Lock, kHasCondition>::Type condition_;
};

// Ten critical sections with gaps of uneven length between, then all meet: streamcluster's
// shape (PARSEC), the program on which locks that spin do worst.
template <typename Lock>
void RunBarrier(const Cell& cell, const RunPlan& plan, Sample* sample) {
  constexpr int kLocksInAPhase = 10;
  Guarded<Lock> guarded;
  Meeting<Lock> meeting(cell.threads);
  Team team(cell.threads);
  std::atomic<uint64_t> turns = 0;
  const auto gap_loops = static_cast<uint64_t>(cell.gap_ns * plan.loops_per_ns);
  const auto body = [&](Member& self, const std::atomic<bool>& stop) {
    Critical<Lock> critical(cell, plan);
    bool goes_on = true;
    for (uint64_t phase = 0; goes_on; ++phase) {
      for (int i = 0; i < kLocksInAPhase; ++i) {
        critical.Enter(guarded, self);
        Work(gap_loops / 2 + gap_loops * ((phase + static_cast<uint64_t>(self.index)) % 4) / 3);
      }
      self.CountOne();
      goes_on = meeting.Meet(stop);
    }
    turns += self.done * kLocksInAPhase;
  };
  team.Run(plan, body, sample);
  sample->ops_per_s /= cell.threads;  // phases
  sample->spin_cpu_share = team.OverheadShare(kLocksInAPhase * (cell.cs_ns + cell.gap_ns));
  sample->exclusion_errors = guarded.overlaps + (guarded.entered != turns ? 1 : 0);
}

template <typename Lock>
void RunUncontended(const RunPlan& plan, Sample* sample) {
  constexpr int kPairs = 10'000;
  std::atomic<bool> done = false;
  // Alive but asleep: in a process of one thread libc leaves out atomic operations.
  std::thread other([&] { done.wait(false); });
  Guarded<Lock> guarded;
  const double length_ticks = static_cast<double>(plan.length_ns) * plan.ticks_per_ns;
  double best_ticks = 0;
  const uint64_t begin = __builtin_ia32_rdtsc();
  for (uint64_t now = begin, last = 0; static_cast<double>(now - begin) < length_ticks;) {
    last = now;
    for (int i = 0; i < kPairs; ++i) {
      typename Lock::Node node;
      guarded.lock.Lock(node);
      guarded.lock.Unlock(node);
    }
    now = __builtin_ia32_rdtsc();
    const auto ticks = static_cast<double>(now - last);
    best_ticks = best_ticks == 0 ? ticks : std::min(best_ticks, ticks);
  }
  done = true;
  done.notify_all();
  other.join();
  sample->ns_per_op = best_ticks / kPairs / plan.ticks_per_ns;
  sample->ops_per_s = 1e9 / sample->ns_per_op;
  sample->fairness = 1;
}

template <typename Lock>
void RunCell(const Cell& cell, const RunPlan& plan, Sample* sample) {
  switch (cell.workload) {
    case Workload::kThreads:
      return RunThreads<Lock>(cell, plan, sample);
    case Workload::kBarrier:
      return RunBarrier<Lock>(cell, plan, sample);
    case Workload::kUncontended:
      return RunUncontended<Lock>(plan, sample);
    case Workload::kLab:
      return;  // has locks of its own
  }
}

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_WORKLOADS_H_
