// SPDX-License-Identifier: Apache-2.0
//
// What the lock knows of the process and thread it runs in, on Linux. Private to the
// library; in the header because the inline fast path reads it.
#ifndef LOCKHOST_CLIENT_LOCK_PROCESS_H_
#define LOCKHOST_CLIENT_LOCK_PROCESS_H_

#include <cstdint>

#include "client/lock/platform.h"

namespace lockhost::lock {

// CPUs above this have no vCPU id here, hence no hints.
inline constexpr uint32_t kMaxCpus = LOCKHOST_MAX_SLOTS;

// What the fast path asks of the process.
struct ProcessState {
  uint32_t attached;  // 0; kAttached once there are pages, or native operations; release order
  lockhost_operations operations;
};
extern constinit ProcessState process_state;
inline constexpr uint32_t kAttached = 1u << 31;
// Beside it while locks name threads: as it comes and goes each thread looks for its place anew.
inline constexpr uint32_t kNamesThreads = 1u << 30;

// What the fast path knows of its thread. To find the vCPU and its report word takes four
// loads, each of which needs the one before, and nothing overlaps them with the atomic
// operation that waits for them. So they are kept, and a branch, which the processor
// predicts, checks that the thread is still where it was.
struct ThreadState {
  // Where the kernel keeps the CPU that this thread runs on (its rseq area), once that is known.
  const volatile uint32_t* cpu;
  uint32_t place;         // Place() for which the rest is right
  uint32_t tag;           // OwnTag(): of the vCPU, or of the thread
  uint64_t* report_word;  // of the vCPU, or `unread`; null: no report page
  uint64_t unread;        // takes the reports of a vCPU without a slot
  lockhost_thread self;
};
// Constant-initialised, so that its use needs no initialisation check; in the static TLS
// block, so that libraries reach it without a call, too.
extern constinit thread_local ThreadState this_thread [[gnu::tls_model("initial-exec")]];

// Where no thread is, and a CPU that it does not match. A thread without an rseq area stays
// there, and looks for its place anew each time.
inline constexpr uint32_t kNowhere = kAttached - 1;
extern const volatile uint32_t no_cpu;

// Fills in all of `thread` for where it is now; names it at the first call, for its reports. These
// names are handed out round robin and never taken back: two threads may share one, which a report
// may. Slots of the thread page are not shared: thread_slots.h.
void FindPlace(ThreadState& thread);

// The environment of this process: published once, with release order, and never
// freed. Before that, an environment without pages.
extern const lockhost_env* process_env;
// The same for locks in memory that processes share: never native.
extern const lockhost_env* shared_env;
extern uint32_t attach_result;  // enum lockhost_status_code; stored last, with release order
// KVM id of each guest CPU; identity until the pages are attached.
struct CpuIds {
  uint16_t of_cpu[kMaxCpus];
};
extern CpuIds cpu_ids;

// The KVM id of the CPU that this thread last ran on, or LOCKHOST_UNKNOWN_VCPU. May be out of
// date on return.
uint32_t CurrentVcpu();

// What the guest's scheduler says of this process' threads: no slots until it is attached, nor in
// a child of fork(), nor once the agent that wrote the page is gone.
extern lockhost_threads process_threads;
struct ThreadsState;
extern ThreadsState threads_state;  // attach.h; written before attach_result
// From now on lock words name vCPUs, for good.
void DropThreads();

// Maps the pages; only the first call does anything.
void Attach();

inline const lockhost_env& ProcessEnv() { return *__atomic_load_n(&process_env, __ATOMIC_ACQUIRE); }
inline const lockhost_env& SharedEnv() { return *__atomic_load_n(&shared_env, __ATOMIC_ACQUIRE); }

// Drops a thread page that nobody will write any more. Called by whoever waits.
inline void FollowThreads() {
  if (__builtin_expect(lockhost_thread_slots(&process_threads) != 0, 0) &&
      !lockhost_threads_are_written(&process_threads)) {
    DropThreads();
  }
}

inline uint32_t Attached() { return __atomic_load_n(&process_state.attached, __ATOMIC_ACQUIRE); }
inline bool IsAttached() { return Attached() != 0; }

inline uint32_t Place(const ThreadState& thread) { return *thread.cpu ^ Attached(); }

// The calling thread where it is now, which may be out of date on return.
inline ThreadState& ThisThread() {
  ThreadState& thread = this_thread;
  if (__builtin_expect(thread.place != Place(thread), 0)) FindPlace(thread);
  return thread;
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_PROCESS_H_
