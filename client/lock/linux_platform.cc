// SPDX-License-Identifier: Apache-2.0
#include "client/lock/linux_platform.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "client/lock/process.h"
#include "client/lock/watch_word.h"

namespace lockhost::lock {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kLongestSharedSleepNs = 50'000'000;

// A lock operation must not change errno under the application's feet.
long Futex(uint32_t* word, int operation, uint32_t value, const timespec* timeout) {
  const int saved = errno;
  const long result = syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
  errno = saved;
  return result;
}

// Zero from the system call: woken. Otherwise the word differed, time ran out, or a
// signal came, and nobody's kick was spent on this thread.
int WaitOnFutex(uint32_t* word, int operation, uint32_t expected, uint64_t timeout_ns) {
  const timespec limit = {static_cast<time_t>(timeout_ns / kNsPerSecond),
                          static_cast<long>(timeout_ns % kNsPerSecond)};
  return Futex(word, operation, expected, timeout_ns == UINT64_MAX ? nullptr : &limit) == 0;
}

int WaitPrivate(void*, uint32_t* word, uint32_t expected, uint64_t timeout_ns,
                const lockhost_waiting*) {
  return WaitOnFutex(word, FUTEX_WAIT_PRIVATE, expected, timeout_ns);
}

// Whoever was to wake this thread, or was woken in its stead, may have been killed.
int WaitShared(void*, uint32_t* word, uint32_t expected, uint64_t timeout_ns,
               const lockhost_waiting*) {
  return WaitOnFutex(word, FUTEX_WAIT, expected,
                     timeout_ns < kLongestSharedSleepNs ? timeout_ns : kLongestSharedSleepNs);
}

int KickPrivate(void*, uint32_t* word) { return Futex(word, FUTEX_WAKE_PRIVATE, 1, nullptr) > 0; }

int KickShared(void*, uint32_t* word) { return Futex(word, FUTEX_WAKE, 1, nullptr) > 0; }

uint32_t Watch(void*, const uint32_t* word, uint32_t* seen) { return WatchWord(word, seen); }

uint64_t Ticks(void*) { return __builtin_ia32_rdtsc(); }

void Pause(void*, const lockhost_waiting*) { __builtin_ia32_pause(); }

uint32_t Vcpu(void*) { return CurrentVcpu(); }

lockhost_thread* Self(void*) { return &ThisThread().self; }

uint64_t NowNs(void*) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

// The bell is shared with another process, so this futex is not private.
void Ring(void*, lockhost_report_header* reports) { Futex(&reports->bell, FUTEX_WAKE, 1, nullptr); }

}  // namespace

const lockhost_platform kLinuxPlatform = {
    .wait = WaitPrivate,
    .kick = KickPrivate,
    .watch = Watch,
    .ticks = Ticks,
    .pause = Pause,
    .current_vcpu = Vcpu,
    .self = Self,
    .now_ns = NowNs,
    .ring = Ring,
};

const lockhost_platform kSharedPlatform = {
    .wait = WaitShared,
    .kick = KickShared,
    .watch = Watch,
    .ticks = Ticks,
    .pause = Pause,
    .current_vcpu = Vcpu,
    .self = Self,
    .now_ns = NowNs,
    .ring = Ring,
};

}  // namespace lockhost::lock
