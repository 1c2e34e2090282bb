// SPDX-License-Identifier: Apache-2.0
#include "agent/overcommit/load_meter.h"

#include <iterator>

namespace lockhost::agent {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kWindowNs[] = {kNsPerSecond, 10 * kNsPerSecond};
// Looks come about once a second, some milliseconds late or early.
constexpr uint64_t kSlackNs = kNsPerSecond / 4;

}  // namespace

void LoadMeter::Add(uint64_t now_ns, uint64_t run_ns, uint64_t steal_ns) {
  if (!looks_.empty() && (run_ns < looks_.back().run_ns || steal_ns < looks_.back().steal_ns)) {
    looks_.clear();
  }
  looks_.push_back({now_ns, run_ns, steal_ns});
  const uint64_t keep_ns = kWindowNs[LoadFigures::kLong] - kSlackNs;
  while (looks_.size() > 2 && now_ns - looks_[1].at_ns >= keep_ns) looks_.pop_front();
}

// The latest look that is a whole window old, else the oldest. REQUIRES: two looks.
const LoadMeter::Look& LoadMeter::Before(uint64_t window_ns) const {
  const uint64_t now_ns = looks_.back().at_ns;
  for (auto look = std::next(looks_.rbegin()); look != looks_.rend(); ++look) {
    if (now_ns - look->at_ns + kSlackNs >= window_ns) return *look;
  }
  return looks_.front();
}

LoadFigures LoadMeter::Figures() const {
  LoadFigures figures;
  if (looks_.size() < 2) return figures;
  const Look& now = looks_.back();
  for (int window : {LoadFigures::kShort, LoadFigures::kLong}) {
    const Look& then = Before(kWindowNs[window]);
    const auto passed = static_cast<double>(now.at_ns - then.at_ns);
    const auto stolen = static_cast<double>(now.steal_ns - then.steal_ns);
    const auto wanted = static_cast<double>(now.run_ns - then.run_ns) + stolen;
    figures.runnable_vcpus[window] = wanted / passed;
    figures.steal_ratio[window] = wanted > 0 ? stolen / wanted : 0;
  }
  return figures;
}

bool LoadMeter::settled() const {
  return looks_.size() >= 2 &&
         looks_.back().at_ns - looks_.front().at_ns + kSlackNs >= kWindowNs[LoadFigures::kLong];
}

}  // namespace lockhost::agent
