// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_COMMON_SCHED_ATTRIBUTES_H_
#define LOCKHOST_COMMON_SCHED_ATTRIBUTES_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lockhost {

// struct sched_attr of sched_setattr(2), version 0; not in Debian 12's libc.
struct SchedAttributes {
  uint32_t size = 0;
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime_ns = 0;  // of an ordinary thread: the slice that it asked for (Linux 6.12)
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;

  bool operator==(const SchedAttributes&) const = default;
};
static_assert(sizeof(SchedAttributes) == 48);

// How a thread is scheduled; tid 0: the caller. Thread-safe, as is all here. NOT_FOUND: there
// is no such thread.
absl::StatusOr<SchedAttributes> GetScheduling(pid_t tid);
// PERMISSION_DENIED: needs CAP_SYS_NICE, or (for real time) a cgroup that has time for it.
absl::Status SetScheduling(pid_t tid, SchedAttributes attributes);

}  // namespace lockhost

#endif  // LOCKHOST_COMMON_SCHED_ATTRIBUTES_H_
