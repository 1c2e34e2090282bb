// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "client/lock/lockhost.h"
#include "client/lock/robust_word.h"
#include "client/lock/sanitizer.h"

namespace lockhost::lock {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kLongestSleepNs = 50'000'000;  // then: does the owner live?
constexpr int kSpins = 100;

constinit thread_local ThreadIdentity this_identity = {.id = 0, .started = 0};
pthread_once_t fork_hook_once = PTHREAD_ONCE_INIT;

// A lock operation must not change errno under the application's feet.
class ErrnoKeeper {
 public:
  ErrnoKeeper() : saved_(errno) {}
  ~ErrnoKeeper() { errno = saved_; }
  ErrnoKeeper(const ErrnoKeeper&) = delete;
  ErrnoKeeper& operator=(const ErrnoKeeper&) = delete;

 private:
  const int saved_;
};

uint64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

// The futex is the half of the word that the owner's id is in; x86 stores it first.
uint32_t* FutexOf(uint64_t* word) { return reinterpret_cast<uint32_t*>(word); }

// Shared between processes, hence not FUTEX_PRIVATE. True: all the time has passed.
bool Sleep(uint64_t* word, uint64_t expected, uint64_t timeout_ns) {
  const timespec limit = {static_cast<time_t>(timeout_ns / kNsPerSecond),
                          static_cast<long>(timeout_ns % kNsPerSecond)};
  return syscall(SYS_futex, FutexOf(word), FUTEX_WAIT, static_cast<uint32_t>(expected), &limit,
                 nullptr, 0) != 0 &&
         errno == ETIMEDOUT;
}

void Wake(uint64_t* word, int count) {
  syscall(SYS_futex, FutexOf(word), FUTEX_WAKE, count, nullptr, nullptr, 0);
}

// The stat file of the thread with that id; nothing if there is none.
size_t ReadStat(uint32_t id, char* text, size_t room) {
  char path[32];
  snprintf(path, sizeof(path), "/proc/%u/stat", id);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t got = read(fd, text, room);
  close(fd);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

bool IsAlive(ThreadIdentity owner) {
  if (kill(static_cast<pid_t>(owner.id), 0) != 0 && errno == ESRCH) return false;
  char text[512];
  return IsAlive(owner, text, ReadStat(owner.id, text, sizeof(text)));
}

// Where /proc cannot be read, 0: then only an id that is free shows that its owner is dead.
ThreadIdentity ReadIdentity() {
  const auto id = static_cast<uint32_t>(syscall(SYS_gettid));
  char text[512];
  return {.id = id, .started = ParseThreadStat(text, ReadStat(id, text, sizeof(text))).started};
}

ThreadIdentity Self() {
  if (this_identity.id == 0) {
    pthread_once(&fork_hook_once,
                 [] { pthread_atfork(nullptr, nullptr, [] { this_identity.id = 0; }); });
    this_identity = ReadIdentity();
  }
  return this_identity;
}

bool Replace(uint64_t* word, uint64_t expected, uint64_t desired) {
  return __atomic_compare_exchange_n(word, &expected, desired, /*weak=*/false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED);
}

// One attempt to get the word.
class Attempt {
 public:
  explicit Attempt(uint64_t* word) : word_(word) {}

  // As lock(), EBUSY if the word has an owner, or kChanged. `asks`: look whether it lives.
  int Try(uint64_t seen, bool asks) {
    if ((seen & kLost) != 0) return ENOTRECOVERABLE;
    if (IsOwned(seen) && (!asks || IsAlive(OwnerOf(seen)))) return EBUSY;
    return Take(seen);
  }

  // Sleeps for a while. True: the word may have a dead owner.
  bool SleepOn(uint64_t seen, uint64_t left_ns) {
    const uint64_t marked = seen | kRobustSleepers;
    if (seen != marked && !Replace(word_, seen, marked)) return false;
    slept_ = true;
    return Sleep(word_, marked, left_ns < kLongestSleepNs ? left_ns : kLongestSleepNs);
  }

  static constexpr int kChanged = -1;

 private:
  // The owner of `seen` is nobody, or dead. Others may sleep where this thread has.
  int Take(uint64_t seen) {
    const uint64_t disorder = IsOwned(seen) ? kInDisorder : seen & kInDisorder;
    const uint64_t sleepers = slept_ ? kRobustSleepers : seen & kRobustSleepers;
    if (!Replace(word_, seen, OwnerBits(Self()) | sleepers | disorder)) return kChanged;
    TellAcquired(word_);
    return disorder != 0 ? EOWNERDEAD : 0;
  }

  uint64_t* const word_;
  bool slept_ = false;
};

int LockUntil(uint64_t* word, uint64_t deadline_ns) {
  const ErrnoKeeper keeper;
  Attempt attempt(word);
  bool asks = false;  // only after a whole sleep: owners are slow more often than dead
  for (int spins = 0;;) {
    const uint64_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    const int result = attempt.Try(seen, asks);
    asks = false;
    if (result == Attempt::kChanged) continue;
    if (result != EBUSY) return result;
    if (++spins < kSpins) {
      __builtin_ia32_pause();
      continue;
    }
    const uint64_t now_ns = NowNs();
    if (now_ns >= deadline_ns) return ETIMEDOUT;
    asks = attempt.SleepOn(seen, deadline_ns - now_ns);
  }
}

// An owner that dies between the two steps leaves nobody asleep: sleepers wake by themselves.
void Unlock(uint64_t* word) {
  const ErrnoKeeper keeper;
  TellReleased(word);
  uint64_t held = __atomic_load_n(word, __ATOMIC_RELAXED);
  uint64_t left = 0;
  do {
    left = (held & kInDisorder) != 0 ? kLost : 0;
  } while (!__atomic_compare_exchange_n(word, &held, left, /*weak=*/true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
  if ((held & kRobustSleepers) != 0) Wake(word, left != 0 ? INT_MAX : 1);
}

}  // namespace

ThreadStat ParseThreadStat(const char* text, size_t size) {
  constexpr int kStateField = 3, kStartTimeField = 22;
  const auto* paren = static_cast<const char*>(size != 0 ? memrchr(text, ')', size) : nullptr);
  const char* end = text + size;
  if (paren == nullptr || end - paren < 3) return {.valid = false, .state = 0, .started = 0};
  const char* at = paren + 2;
  const char state = *at;
  for (int field = kStateField; field < kStartTimeField; ++field) {
    at = static_cast<const char*>(memchr(at, ' ', static_cast<size_t>(end - at)));
    if (at == nullptr || ++at == end) return {.valid = false, .state = 0, .started = 0};
  }
  uint32_t started = 0;
  for (; at < end && *at >= '0' && *at <= '9'; ++at) {
    started = started * 10 + static_cast<uint32_t>(*at - '0');
  }
  return {.valid = true, .state = state, .started = started};
}

bool IsAlive(ThreadIdentity owner, const char* text, size_t size) {
  const ThreadStat stat = ParseThreadStat(text, size);
  if (!stat.valid) return true;
  if (stat.state == 'Z' || stat.state == 'X') return false;
  return owner.started == 0 || stat.started == owner.started;
}

}  // namespace lockhost::lock

int lockhost_robust_lock(lockhost_robust_mutex_t* mutex) {
  return lockhost::lock::LockUntil(&mutex->word, UINT64_MAX);
}

int lockhost_robust_timedlock(lockhost_robust_mutex_t* mutex, uint64_t deadline_ns) {
  return lockhost::lock::LockUntil(&mutex->word, deadline_ns);
}

int lockhost_robust_trylock(lockhost_robust_mutex_t* mutex) {
  using lockhost::lock::Attempt;
  const lockhost::lock::ErrnoKeeper keeper;
  for (Attempt attempt(&mutex->word);;) {
    const int result = attempt.Try(__atomic_load_n(&mutex->word, __ATOMIC_RELAXED), /*asks=*/true);
    if (result != Attempt::kChanged) return result;
  }
}

void lockhost_robust_consistent(lockhost_robust_mutex_t* mutex) {
  __atomic_fetch_and(&mutex->word, ~lockhost::lock::kInDisorder, __ATOMIC_RELAXED);
}

void lockhost_robust_unlock(lockhost_robust_mutex_t* mutex) {
  lockhost::lock::Unlock(&mutex->word);
}
