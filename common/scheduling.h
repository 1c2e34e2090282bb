// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_COMMON_SCHEDULING_H_
#define LOCKHOST_COMMON_SCHEDULING_H_

#include "absl/status/status.h"

namespace lockhost {

// How the calling thread would like to be scheduled, among threads of its own
// priority; neither needs a privilege, neither gives it a larger share.

// Asks for a time slice of 100 us: when woken, the thread preempts one that asked for
// a longer slice, as long as it is not owed less CPU than that (EEVDF, Linux 6.12;
// before, the kernel ignores it). For threads whose wake-up somebody waits for.
absl::Status RequestShortSlice();

// Asks not to preempt anybody when woken (SCHED_BATCH; inherited by threads made
// later). For threads whose work can wait for the next switch: on a host without a
// spare CPU each prompt wake-up takes the CPU from a vCPU.
absl::Status RequestPatientWakeups();

// Back to the ordinary policy, for a thread whose maker asked for patience.
absl::Status RequestOrdinaryWakeups();

}  // namespace lockhost

#endif  // LOCKHOST_COMMON_SCHEDULING_H_
