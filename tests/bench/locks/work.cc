// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/work.h"

#include <sched.h>

#include <algorithm>
#include <chrono>

namespace lockhost::bench {
namespace {

struct Speed {
  double loops_per_ns = 0;
  double ticks_per_ns = 0;
};

// The best of several: whatever disturbs makes it slower.
Speed BestSpeed(int tries, uint64_t loops) {
  using std::chrono::steady_clock;
  Speed best;
  for (int i = 0; i < tries; ++i) {
    const auto begin = steady_clock::now();
    const uint64_t begin_tsc = __builtin_ia32_rdtsc();
    Work(loops);
    const auto ticks = static_cast<double>(__builtin_ia32_rdtsc() - begin_tsc);
    const std::chrono::duration<double, std::nano> passed = steady_clock::now() - begin;
    best.loops_per_ns = std::max(best.loops_per_ns, static_cast<double>(loops) / passed.count());
    best.ticks_per_ns = std::max(best.ticks_per_ns, ticks / passed.count());
  }
  return best;
}

}  // namespace

[[gnu::noinline, gnu::aligned(64)]] void Work(uint64_t loops) {
  for (uint64_t i = 0; i < loops; ++i) asm volatile("" : "+r"(i));
}

RunPlan Calibrate(uint64_t length_ns) {
  const Speed best = BestSpeed(60, 1'000'000);
  return {
      .length_ns = length_ns, .loops_per_ns = best.loops_per_ns, .ticks_per_ns = best.ticks_per_ns};
}

bool IsAtFullPace(const RunPlan& plan) {
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof(all), &all) != 0) return true;
  bool full = true;
  for (int cpu = 0; cpu < CPU_SETSIZE && full; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    full = BestSpeed(5, 300'000).loops_per_ns > 0.9 * plan.loops_per_ns;
  }
  sched_setaffinity(0, sizeof(all), &all);
  return full;
}

}  // namespace lockhost::bench
