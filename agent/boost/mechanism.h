// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_MECHANISM_H_
#define LOCKHOST_AGENT_BOOST_MECHANISM_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/sched_attributes.h"

namespace lockhost::agent {

// How a thread is made to run at once, best first. All of them end by giving the thread its
// ordinary attributes back; none outlasts its time limit.
enum class BoostMechanism {
  kNone = 0,
  kFifo,  // SCHED_FIFO, the lowest priority: goes before every ordinary thread
  kNice,  // nice -20 and the shortest slice: is picked soon, if it is owed CPU time
};

inline constexpr std::string_view kBoostMechanismNames[] = {"none", "fifo", "nice"};
inline std::string_view NameOf(BoostMechanism mechanism) {
  return kBoostMechanismNames[static_cast<size_t>(mechanism)];
}
std::optional<BoostMechanism> BoostMechanismNamed(std::string_view name);

// SCHED_FIFO priorities: the booster's is above whom it boosts, so that every boost can be ended.
inline constexpr uint32_t kBoostedPriority = 1;
inline constexpr uint32_t kBoosterPriority = 2;
inline constexpr uint32_t kPassingPriority = 3;  // of a thread while it is being boosted
inline constexpr uint32_t kUndoHelperPriority = 4;

// Of a boosted thread whose ordinary attributes are these. Its children are never boosted.
// REQUIRES: not kNone.
SchedAttributes Boosted(BoostMechanism mechanism, const SchedAttributes& ordinary);

// Only ordinary threads are boosted: a real-time one needs no help, and SCHED_DEADLINE
// could not be given back what it had.
bool MayBoost(const SchedAttributes& ordinary);

struct ChosenMechanism {
  BoostMechanism mechanism = BoostMechanism::kNone;
  std::string reason;  // why not a better one; empty for the best
};
// The best of those that work for this process, found out on a thread of its own. `wanted`:
// "auto", "none" or a mechanism's name, which then has to work. INVALID_ARGUMENT: no such
// name.
absl::StatusOr<ChosenMechanism> ChooseMechanism(const std::string& wanted);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_MECHANISM_H_
