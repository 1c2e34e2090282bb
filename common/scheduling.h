// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_COMMON_SCHEDULING_H_
#define LOCKHOST_COMMON_SCHEDULING_H_

#include "absl/status/status.h"

namespace lockhost {

// How the calling thread would like to be scheduled. All but RequestRealTime() are among threads
// of its own priority: they need no privilege, and give it no larger share.

// Asks for a time slice of 100 us: when woken, the thread preempts one that asked for
// a longer slice, as long as it is not owed less CPU than that (EEVDF, Linux 6.12;
// before, the kernel ignores it). For threads whose wake-up somebody waits for.
absl::Status RequestShortSlice();

// Asks not to preempt anybody when woken (SCHED_BATCH; inherited by threads made
// later). For threads whose work can wait for the next switch: on a host without a
// spare CPU each prompt wake-up takes the CPU from a vCPU.
absl::Status RequestPatientWakeups();

// Asks to be let in at once, whoever else runs (SCHED_FIFO, lowest priority; not inherited by
// threads made later). The caller bounds by itself how much it runs. PERMISSION_DENIED: needs
// an RLIMIT_RTPRIO of 1 or CAP_SYS_NICE and, where groups share out real time, a cgroup that has
// some. RequestShortSlice() takes it back.
absl::Status RequestRealTime();

// Back to the ordinary policy, for a thread whose maker asked for patience.
absl::Status RequestOrdinaryWakeups();

}  // namespace lockhost

#endif  // LOCKHOST_COMMON_SCHEDULING_H_
