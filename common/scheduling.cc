// SPDX-License-Identifier: Apache-2.0
#include "common/scheduling.h"

#include <sched.h>

#include <cstdint>

#include "common/sched_attributes.h"

namespace lockhost {
namespace {

constexpr uint64_t kShortSliceNs = 100'000;  // the shortest that the kernel grants

constexpr uint64_t kResetOnFork = 1;  // linux/sched.h

// Changes policy and slice of the caller, keeps the nice value. That threads made later do not
// inherit it stays: to take that back needs a privilege.
absl::Status Request(uint32_t policy, uint64_t runtime_ns) {
  auto attributes = GetScheduling(0);
  if (!attributes.ok()) return attributes.status();
  attributes->flags &= kResetOnFork;
  attributes->priority = 0;
  attributes->policy = policy;
  attributes->runtime_ns = runtime_ns;
  return SetScheduling(0, *attributes);
}

}  // namespace

absl::Status RequestShortSlice() { return Request(SCHED_OTHER, kShortSliceNs); }
absl::Status RequestPatientWakeups() { return Request(SCHED_BATCH, 0); }
absl::Status RequestRealTime() {
  auto attributes = GetScheduling(0);
  if (!attributes.ok()) return attributes.status();
  attributes->flags = kResetOnFork;
  attributes->policy = SCHED_FIFO;
  attributes->priority = 1;
  return SetScheduling(0, *attributes);
}
absl::Status RequestOrdinaryWakeups() { return Request(SCHED_OTHER, 0); }

}  // namespace lockhost
