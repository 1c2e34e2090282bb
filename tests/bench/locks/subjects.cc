// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "client/lock/spinlock.h"
#include "client/page/hint_page.h"
#include "client/page/report_page.h"
#include "tests/bench/locks/library_peers.h"
#include "tests/bench/locks/lockhost_subjects.h"
#include "tests/bench/locks/spinning_peers.h"
#include "tests/bench/locks/subject.h"
#include "tests/bench/locks/workloads.h"

namespace lockhost::bench {
namespace {

constexpr uint32_t kSlots = 256;

void WithoutHints() { setenv("LOCKHOST_HINTS", "off", /*overwrite=*/1); }

void Native() {
  WithoutHints();
  setenv("LOCKHOST_MODE", "native", /*overwrite=*/1);
  lockhost_attach();
}

// A page of `bytes` in a memfd; `variable` is set to its name. Lives as long as the process.
template <typename Header>
Header* PageNamedBy(const char* variable, size_t bytes) {
  const int fd = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
    abort();
  }
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) abort();
  setenv(variable, ("/proc/self/fd/" + std::to_string(fd)).c_str(), /*overwrite=*/1);
  return static_cast<Header*>(memory);
}

// Pages that a guest agent would have made, on a host that says nothing.
void WithReports() {
  auto* hints =
      PageNamedBy<lockhost_hint_header>("LOCKHOST_HINT_PAGE", LOCKHOST_HINT_PAGE_BYTES(kSlots));
  hints->abi_version = LOCKHOST_PAGE_ABI_VERSION;
  hints->header_size = sizeof(lockhost_hint_header);
  hints->slot_stride = sizeof(lockhost_hint_slot);
  hints->slot_count = kSlots;
  hints->magic = LOCKHOST_HINT_PAGE_MAGIC;
  auto* reports = PageNamedBy<lockhost_report_header>("LOCKHOST_REPORT_PAGE",
                                                      LOCKHOST_REPORT_PAGE_BYTES(kSlots));
  reports->abi_version = LOCKHOST_PAGE_ABI_VERSION;
  reports->slot_count = kSlots;
  reports->magic = LOCKHOST_REPORT_PAGE_MAGIC;
  lockhost_attach();
}

}  // namespace

std::vector<Subject> AllSubjects([[maybe_unused]] std::vector<std::string>* missing) {
  std::vector<Subject> subjects = {
      {.name = "test-and-set", .run = RunCell<TestAndSet>},
      {.name = "ticket", .run = RunCell<Ticket>},
      {.name = "mcs", .run = RunCell<Mcs>},
      {.name = "futex", .run = RunCell<FutexMutex<0>>},
      {.name = "spin-then-futex", .run = RunCell<FutexMutex<100>>},
      {.name = "pthread_mutex", .run = RunCell<PthreadMutex<PTHREAD_MUTEX_NORMAL>>},
      {.name = "pthread_mutex_adaptive", .run = RunCell<PthreadMutex<PTHREAD_MUTEX_ADAPTIVE_NP>>},
      {.name = "pthread_spinlock", .run = RunCell<PthreadSpin>},
      {.name = "std::mutex", .run = RunCell<StdMutex>},
      {.name = "absl::Mutex", .run = RunCell<AbslMutex>},
  };
#ifdef LOCKHOST_BENCH_TBB
  AddTbbSubjects(&subjects);
#else
  missing->push_back("oneTBB");
#endif
#ifdef LOCKHOST_BENCH_CK
  AddCkSubjects(&subjects);
#else
  missing->push_back("Concurrency Kit");
#endif
  subjects.push_back({.name = "lockhost",
                      .ours = true,
                      .prepare = WithoutHints,
                      .run = RunCell<BasicLockable<SpinLock>>});
  subjects.push_back({.name = "lockhost-mutex",
                      .ours = true,
                      .prepare = WithoutHints,
                      .run = RunCell<LockhostMutex>});
  subjects.push_back({.name = "lockhost-native",
                      .ours = true,
                      .prepare = Native,
                      .run = RunCell<BasicLockable<SpinLock>>,
                      .uncontended_only = true});
  subjects.push_back({.name = "lockhost-reports",
                      .ours = true,
                      .prepare = WithReports,
                      .run = RunCell<BasicLockable<SpinLock>>,
                      .uncontended_only = true});
  AddThreadSubjects(&subjects);
  return subjects;
}

}  // namespace lockhost::bench
