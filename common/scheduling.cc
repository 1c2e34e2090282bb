// SPDX-License-Identifier: Apache-2.0
#include "common/scheduling.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace lockhost {
namespace {

// struct sched_attr of sched_setattr(2); not in Debian 12's libc.
struct SchedAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns;
  uint64_t deadline_ns;
  uint64_t period_ns;
};
static_assert(sizeof(SchedAttributes) == 48);

constexpr uint64_t kShortSliceNs = 100'000;  // the shortest that the kernel grants

// Changes policy and slice, keeps the nice value.
absl::Status SetScheduling(uint32_t policy, uint64_t runtime_ns) {
  SchedAttributes attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0) {
    return absl::ErrnoToStatus(errno, "sched_getattr");
  }
  attributes.size = sizeof(attributes);
  attributes.flags = 0;
  attributes.policy = policy;
  attributes.runtime_ns = runtime_ns;
  if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
    return absl::ErrnoToStatus(errno, "sched_setattr");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RequestShortSlice() { return SetScheduling(SCHED_OTHER, kShortSliceNs); }
absl::Status RequestPatientWakeups() { return SetScheduling(SCHED_BATCH, 0); }
absl::Status RequestOrdinaryWakeups() { return SetScheduling(SCHED_OTHER, 0); }

}  // namespace lockhost
