// SPDX-License-Identifier: Apache-2.0
//
// The process side of the library: C ABI, attaching, the names of threads.
#include "client/lock/lockhost.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "client/lock/attach.h"
#include "client/lock/inline_path.h"
#include "client/lock/linux_platform.h"
#include "client/lock/sanitizer.h"
#include "client/lock/settings.h"
#include "client/lock/spin_core.h"
#include "client/lock/thread_slots.h"

namespace lockhost::lock {
namespace {

constexpr lockhost_env kEnvWithoutPages = {.platform = &kLinuxPlatform,
                                           .context = nullptr,
                                           .pages = {},
                                           .operations = nullptr,
                                           .threads = nullptr};

constexpr lockhost_env kSharedEnvWithoutPages = {.platform = &kSharedPlatform,
                                                 .context = nullptr,
                                                 .pages = {},
                                                 .operations = nullptr,
                                                 .threads = nullptr};

lockhost_env attached_shared_env;  // as the next
lockhost_env attached_env;         // written once, under attach_once
pthread_once_t attach_once = PTHREAD_ONCE_INIT;
uint32_t next_thread_slot = 0;

// Null if it is not set, or empty.
const char* Setting(const char* name) {
  const char* value = getenv(name);  // NOLINT(concurrency-mt-unsafe): once, see below
  return value != nullptr && value[0] != '\0' ? value : nullptr;
}

const char* SettingOr(const char* name, const char* otherwise) {
  const char* value = Setting(name);
  return value != nullptr ? value : otherwise;
}

void LearnApicIds() {
  const int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  constexpr size_t kLimit = 4u << 20;
  auto* text = static_cast<char*>(malloc(kLimit));
  size_t size = 0;
  while (text != nullptr && size < kLimit) {
    const ssize_t got = read(fd, text + size, kLimit - size);
    if (got <= 0) break;
    size += static_cast<size_t>(got);
  }
  if (text != nullptr) ParseApicIds(text, size, cpu_ids.of_cpu, kMaxCpus);
  free(text);
  close(fd);
}

// A setting that is not understood is not half obeyed: an ordinary lock, and the status says so.
lockhost_status_code_t AttachAsSet(lockhost_pages* pages, ModeSetting* mode) {
  bool use_hints = true;
  if (!ParseHints(Setting("LOCKHOST_HINTS"), &use_hints) ||
      !ParseMode(Setting("LOCKHOST_MODE"), mode)) {
    return LOCKHOST_STATUS_BAD_SETTING;
  }
  if (!use_hints) return LOCKHOST_STATUS_DISABLED;
  if (const char* path = Setting("LOCKHOST_HINT_PAGE"); path != nullptr) {
    return MapPageFiles(path, SettingOr("LOCKHOST_REPORT_PAGE", ""), pages);
  }
  // Before the answer: a child may be forked at any moment.
  pthread_atfork(nullptr, nullptr, DropThreads);
  const ThreadWish wish = {.number_offset = NumberOffset(), .threads = &process_threads};
  return MapPagesOfAgent(SettingOr("LOCKHOST_PAGE_SOCKET", "/run/lockhost-guest/pages.sock"), pages,
                         &wish, &threads_state);
}

// Lock words of this process name threads from now on. True if there is a thread page.
bool BeginToNameThreads() {
  if (lockhost_thread_slots(&process_threads) == 0) return false;
  WatchThreadEnds();
  process_threads.vcpu_of_cpu = cpu_ids.of_cpu;
  process_threads.cpu_count = kMaxCpus;
  attached_env.threads = &process_threads;
  return true;
}

void AttachOnce() {
  const int saved = errno;  // the first slow path of a process comes here
  attached_env = kEnvWithoutPages;
  attached_env.operations = &process_state.operations;
  ModeSetting mode = ModeSetting::kAuto;
  const lockhost_status_code_t result = AttachAsSet(&attached_env.pages, &mode);
  if (result == LOCKHOST_STATUS_HINTS) LearnApicIds();
  const bool names_threads = BeginToNameThreads();
  process_state.operations.setting = static_cast<uint32_t>(mode);
  const bool native = FollowMode(attached_env, kLinuxPlatform.now_ns(nullptr));
  __atomic_store_n(&process_env, &attached_env, __ATOMIC_RELEASE);
  attached_shared_env = kSharedEnvWithoutPages;
  attached_shared_env.pages = attached_env.pages;
  __atomic_store_n(&shared_env, &attached_shared_env, __ATOMIC_RELEASE);
  if (result == LOCKHOST_STATUS_HINTS || native) {
    __atomic_store_n(&process_state.attached, names_threads ? kAttached | kNamesThreads : kAttached,
                     __ATOMIC_RELEASE);
  }
  __atomic_store_n(&attach_result, result, __ATOMIC_RELEASE);
  errno = saved;
}

// Threads' slots are handed out round robin. Reports are counted from a number that depends on
// thread and process, so that no two on one vCPU store the same word soon.
uint64_t FirstReport() {
  constexpr uint32_t kSlots = LOCKHOST_REPORT_HOLDER_MASK - 1;
  constexpr uint32_t kGoldenRatio = 0x9e3779b1;
  const uint64_t name = 1 + __atomic_fetch_add(&next_thread_slot, 1, __ATOMIC_RELAXED) % kSlots;
  const auto process = static_cast<uint32_t>(getpid()) * kGoldenRatio;
  return (name << 48 ^ uint64_t{process} << LOCKHOST_REPORT_COUNT_SHIFT) | name;
}

// What glibc (2.35 and later) registers with the kernel. REQUIRES: __rseq_size is not 0.
const volatile struct rseq* RseqArea() {
  return reinterpret_cast<const volatile struct rseq*>(
      static_cast<const char*>(__builtin_thread_pointer()) + __rseq_offset);
}

uint32_t CurrentCpu() {
  return __rseq_size != 0 ? RseqArea()->cpu_id : static_cast<uint32_t>(sched_getcpu());
}

constexpr CpuIds Identity() {
  CpuIds ids{};
  for (uint32_t cpu = 0; cpu < kMaxCpus; ++cpu) ids.of_cpu[cpu] = static_cast<uint16_t>(cpu);
  return ids;
}

}  // namespace

const lockhost_env* process_env = &kEnvWithoutPages;
const lockhost_env* shared_env = &kSharedEnvWithoutPages;
lockhost_threads process_threads = {};
ThreadsState threads_state = {};
uint32_t attach_result = LOCKHOST_STATUS_NOT_ATTACHED;
constinit ProcessState process_state = {.attached = 0, .operations = {}};
const volatile uint32_t no_cpu = kNowhere - 1;
constinit thread_local ThreadState this_thread = {.cpu = &no_cpu,
                                                  .place = kNowhere,
                                                  .tag = kUnknownHolder,
                                                  .report_word = nullptr,
                                                  .unread = 0,
                                                  .self = {}};

// Constant-initialised: a lock may be taken before any constructor runs.
constinit CpuIds cpu_ids = Identity();

void Attach() { pthread_once(&attach_once, AttachOnce); }

void DropThreads() {
  __atomic_store_n(&process_threads.slot_count, 0, __ATOMIC_RELEASE);
  __atomic_fetch_and(&process_state.attached, ~kNamesThreads, __ATOMIC_RELEASE);
}

uint32_t CurrentVcpu() {
  const uint32_t cpu = CurrentCpu();
  return cpu < kMaxCpus ? __atomic_load_n(&cpu_ids.of_cpu[cpu], __ATOMIC_RELAXED)
                        : LOCKHOST_UNKNOWN_VCPU;
}

void FindPlace(ThreadState& thread) {
  if (thread.self.report == 0) thread.self.report = FirstReport();
  if (__rseq_size != 0) {
    thread.cpu = &RseqArea()->cpu_id;
    thread.place = Place(thread);
  }
  const lockhost_env& env = ProcessEnv();
  if (thread.self.number == 0 && lockhost_thread_slots(env.threads) != 0) {
    __atomic_store_n(&thread.self.number, TakeThreadNumber(), __ATOMIC_RELAXED);
  }
  const uint32_t vcpu = CurrentVcpu();
  thread.tag = OwnTag(env, thread.self, vcpu);
  thread.report_word = ReportPlace(env.pages, vcpu, &thread.unread);
}

void LockSlow(uint32_t* word) {
  Attach();
  FollowThreads();
  lockhost_core_lock(&ProcessEnv(), word);
  TellAcquired(word);
}

bool LockSlowUntil(uint32_t* word, uint64_t deadline_ns) {
  Attach();
  FollowThreads();
  return TellIfAcquired(lockhost_core_lock_until(&ProcessEnv(), word, deadline_ns) != 0, word);
}

void KickSlow(uint32_t* word) { kLinuxPlatform.kick(nullptr, word); }

}  // namespace lockhost::lock

void lockhost_spin_lock(lockhost_spinlock_t* lock) {
  if (!lockhost::lock::TryLockTelling(&lock->word)) lockhost::lock::LockSlow(&lock->word);
}

int lockhost_spin_trylock(lockhost_spinlock_t* lock) {
  const bool taken = lockhost::lock::TryLockWithoutWaiting(&lock->word);
  return lockhost::lock::TellIfAcquired(taken, &lock->word) ? 1 : 0;
}

void lockhost_spin_unlock(lockhost_spinlock_t* lock) {
  lockhost::lock::TellReleased(&lock->word);
  lockhost::lock::UnlockInline(&lock->word);
}

int lockhost_spin_timedlock(lockhost_spinlock_t* lock, uint64_t deadline_ns) {
  if (lockhost::lock::TryLockTelling(&lock->word)) return 1;
  return lockhost::lock::LockSlowUntil(&lock->word, deadline_ns) ? 1 : 0;
}

int lockhost_spin_is_locked(const lockhost_spinlock_t* lock) {
  return lockhost::lock::IsHeld(__atomic_load_n(&lock->word, __ATOMIC_RELAXED)) ? 1 : 0;
}

int lockhost_spin_is_contended(const lockhost_spinlock_t* lock) {
  const uint32_t word = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);
  return lockhost::lock::HasSleepers(word) ? 1 : 0;
}

lockhost_status_code_t lockhost_attach(void) {
  lockhost::lock::Attach();
  return lockhost_status();
}
