// SPDX-License-Identifier: Apache-2.0
#include "common/sched_attributes.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace lockhost {

absl::StatusOr<SchedAttributes> GetScheduling(pid_t tid) {
  SchedAttributes attributes{};
  if (syscall(SYS_sched_getattr, tid, &attributes, sizeof(attributes), 0) != 0) {
    return absl::ErrnoToStatus(errno, "sched_getattr");
  }
  return attributes;
}

absl::Status SetScheduling(pid_t tid, SchedAttributes attributes) {
  attributes.size = sizeof(attributes);
  if (syscall(SYS_sched_setattr, tid, &attributes, 0) != 0) {
    return absl::ErrnoToStatus(errno, "sched_setattr");
  }
  return absl::OkStatus();
}

}  // namespace lockhost
