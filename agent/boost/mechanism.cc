// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/mechanism.h"

#include <linux/sched.h>

#include <array>
#include <thread>

namespace lockhost::agent {
namespace {

constexpr uint64_t kShortestSliceNs = 100'000;

absl::Status Try(BoostMechanism mechanism) {
  absl::Status tried;
  std::thread([&] {
    const auto ordinary = GetScheduling(0);
    tried = ordinary.ok() ? SetScheduling(0, Boosted(mechanism, *ordinary)) : ordinary.status();
  }).join();
  return tried;
}

}  // namespace

std::optional<BoostMechanism> BoostMechanismNamed(std::string_view name) {
  for (size_t i = 0; i < std::size(kBoostMechanismNames); ++i) {
    if (kBoostMechanismNames[i] == name) return static_cast<BoostMechanism>(i);
  }
  return std::nullopt;
}

SchedAttributes Boosted(BoostMechanism mechanism, const SchedAttributes& ordinary) {
  SchedAttributes boosted{};
  boosted.flags = SCHED_FLAG_RESET_ON_FORK;
  if (mechanism == BoostMechanism::kFifo) {
    boosted.policy = SCHED_FIFO;
    boosted.priority = kBoostedPriority;
    return boosted;
  }
  boosted.policy = ordinary.policy;
  boosted.nice = -20;
  boosted.runtime_ns = kShortestSliceNs;
  return boosted;
}

bool MayBoost(const SchedAttributes& ordinary) {
  return ordinary.policy == SCHED_NORMAL || ordinary.policy == SCHED_BATCH;
}

absl::StatusOr<ChosenMechanism> ChooseMechanism(const std::string& wanted) {
  ChosenMechanism chosen;
  const auto named = BoostMechanismNamed(wanted);
  if (!named && wanted != "auto") {
    return absl::InvalidArgumentError("no such boost mechanism: " + wanted);
  }
  if (named == BoostMechanism::kNone) return chosen;
  for (const BoostMechanism mechanism : {BoostMechanism::kFifo, BoostMechanism::kNice}) {
    if (named && *named != mechanism) continue;
    const absl::Status tried = Try(mechanism);
    if (tried.ok()) {
      chosen.mechanism = mechanism;
      return chosen;
    }
    chosen.reason += chosen.reason.empty() ? "" : "; ";
    chosen.reason += std::string(NameOf(mechanism)) + ": " + std::string(tried.message());
  }
  return chosen;
}

}  // namespace lockhost::agent
