// SPDX-License-Identifier: Apache-2.0
//
// What the lock knows of the process and thread it runs in, on Linux. Private to the
// library; in the header because the inline fast path reads it.
#ifndef LOCKHOST_CLIENT_LOCK_PROCESS_H_
#define LOCKHOST_CLIENT_LOCK_PROCESS_H_

#include <sched.h>
#include <sys/rseq.h>

#include <cstdint>

#include "client/lock/platform.h"

namespace lockhost::lock {

// CPUs above this have no vCPU id here, hence no hints.
inline constexpr uint32_t kMaxCpus = LOCKHOST_MAX_SLOTS;

// The environment of this process: published once, with release order, and never
// freed. Before that, an environment without pages.
extern const lockhost_env* process_env;
// Its report page. Apart, because the fast path has no time to go through a pointer.
struct ReportPage {
  lockhost_report_header* page;  // stored before `slots`
  uint32_t slots;                // 0: none; stored with release order
};
extern ReportPage report_page;
// KVM id of each guest CPU; identity until the pages are attached.
struct CpuIds {
  uint16_t of_cpu[kMaxCpus];
};
extern CpuIds cpu_ids;
// Constant-initialised, so that its use needs no initialisation check.
extern constinit thread_local lockhost_thread this_thread;

// Maps the pages; only the first call does anything.
void Attach();

// Gives the calling thread its slot. Slots are handed out round robin and never
// taken back: two threads may share one, which a report may.
void NumberThread(lockhost_thread& thread);

inline const lockhost_env& ProcessEnv() { return *__atomic_load_n(&process_env, __ATOMIC_ACQUIRE); }

inline uint32_t ReportSlots() { return __atomic_load_n(&report_page.slots, __ATOMIC_ACQUIRE); }

inline lockhost_thread& ThisThread() {
  if (__builtin_expect(this_thread.slot == 0, 0)) NumberThread(this_thread);
  return this_thread;
}

// The guest CPU that this thread last ran on, from the rseq area that glibc
// registers (2.35 and later): one load, no system call.
inline uint32_t CurrentCpu() {
  if (__builtin_expect(__rseq_size != 0, 1)) {
    const auto* area = reinterpret_cast<const volatile struct rseq*>(
        static_cast<const char*>(__builtin_thread_pointer()) + __rseq_offset);
    return area->cpu_id;
  }
  return static_cast<uint32_t>(sched_getcpu());
}

// Its KVM id, or LOCKHOST_UNKNOWN_VCPU. May be out of date on return.
inline uint32_t CurrentVcpu() {
  const uint32_t cpu = CurrentCpu();
  return cpu < kMaxCpus ? __atomic_load_n(&cpu_ids.of_cpu[cpu], __ATOMIC_RELAXED)
                        : LOCKHOST_UNKNOWN_VCPU;
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_PROCESS_H_
