// SPDX-License-Identifier: Apache-2.0
//
// Mutexes and condition variables on Linux' clocks and futexes. Private to the library.
#ifndef LOCKHOST_CLIENT_LOCK_TIMED_WAIT_H_
#define LOCKHOST_CLIENT_LOCK_TIMED_WAIT_H_

#include <cstdint>

#include "client/lock/lockhost.h"
#include "client/lock/platform.h"

namespace lockhost::lock {

// When a wait ends, and on what clock.
struct Deadline {
  lockhost_clock_t clock;
  uint64_t ns;  // UINT64_MAX: never
};

// Whether other processes may sleep on the words.
enum class Sharing { kPrivate, kShared };

// True if the mutex was taken. Otherwise the deadline has passed.
bool MutexLockUntil(const lockhost_env& env, uint32_t* word, Deadline deadline);

// As lockhost_core_cond_wait(). Shared: returns after 50 ms at the latest, for no reason, since
// whoever was woken may have been killed before it acted.
int CondWait(const lockhost_env& env, Sharing sharing, lockhost_cond_t* cond, uint32_t* mutex,
             Deadline deadline);
void CondWake(Sharing sharing, lockhost_cond_t* cond, uint32_t count);

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_TIMED_WAIT_H_
