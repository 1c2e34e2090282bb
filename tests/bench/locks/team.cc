// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/team.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <numeric>
#include <random>
#include <thread>

namespace lockhost::bench {
namespace {

using std::chrono::steady_clock;

uint64_t ThreadCpuNs() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

LockChoice::LockChoice(int locks, int seed) {
  std::vector<double> weights;
  for (int rank = 1; rank <= locks; ++rank) weights.push_back(1.0 / rank);
  std::discrete_distribution<int> zipf(weights.begin(), weights.end());
  std::minstd_rand random(static_cast<unsigned>(seed) + 1);
  for (uint8_t& choice : sequence_) choice = static_cast<uint8_t>(zipf(random));
}

std::vector<uint64_t> Team::Counts() const {
  std::vector<uint64_t> counts;
  for (const Member& member : members_) {
    counts.push_back(member.done.load(std::memory_order_relaxed));
  }
  return counts;
}

void Team::Run(const RunPlan& plan, const Body& body, Sample* sample) {
  std::atomic<bool> go = false;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < members_.size(); ++i) {
    members_[i].index = static_cast<int>(i);
    threads.emplace_back([&, i] {
      go.wait(false);
      const uint64_t begin_ns = ThreadCpuNs();
      body(members_[i], stop);
      members_[i].cpu_ns = ThreadCpuNs() - begin_ns;
    });
  }
  go = true;
  go.notify_all();
  std::this_thread::sleep_for(std::chrono::nanoseconds(plan.length_ns / 10));
  const auto begin = steady_clock::now();
  const std::vector<uint64_t> before = Counts();
  std::this_thread::sleep_for(std::chrono::nanoseconds(plan.length_ns));
  std::vector<uint64_t> done = Counts();
  const std::chrono::duration<double> passed = steady_clock::now() - begin;
  stop = true;
  for (std::thread& thread : threads) thread.join();

  for (size_t i = 0; i < done.size(); ++i) done[i] -= before[i];
  const auto total = static_cast<double>(std::accumulate(done.begin(), done.end(), uint64_t{0}));
  const auto [slowest, fastest] = std::minmax_element(done.begin(), done.end());
  sample->ops_per_s = total / passed.count();
  sample->fairness =
      *fastest == 0 ? 0 : static_cast<double>(*slowest) / static_cast<double>(*fastest);
  for (const Member& member : members_) sample->acquire_ns.Merge(member.acquire_ns);
}

double Team::OverheadShare(double useful_ns) const {
  double cpu_ns = 0;
  double done = 0;
  for (const Member& member : members_) {
    cpu_ns += static_cast<double>(member.cpu_ns);
    done += static_cast<double>(member.done);
  }
  return cpu_ns == 0 ? 0 : std::clamp(1 - done * useful_ns / cpu_ns, 0.0, 1.0);
}

}  // namespace lockhost::bench
