// SPDX-License-Identifier: Apache-2.0
//
// Which thread has which slot of this process' thread page. Private to the library.
#ifndef LOCKHOST_CLIENT_LOCK_THREAD_SLOTS_H_
#define LOCKHOST_CLIENT_LOCK_THREAD_SLOTS_H_

#include <cstddef>
#include <cstdint>

namespace lockhost::lock {

// From the thread pointer to where each thread has its number (lockhost_thread.number): the same
// for all, since the library's thread-local storage is static.
int64_t NumberOffset();

// Slots of threads that end are given to others from now on. Call once, before any is taken.
void WatchThreadEnds();

// A slot of the calling thread's own, plus 1; 0: all are taken. Neither allocates nor makes a
// system call.
uint32_t TakeThreadNumber();

// How many are taken now.
size_t ThreadSlotsTaken();

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_THREAD_SLOTS_H_
