// SPDX-License-Identifier: Apache-2.0
//
// What ThreadSanitizer must be told where the application is built with it and this library is
// not: it sees none of the atomic operations in here, and would take what a lock protects for a
// race. What is inline in the application it sees by itself. Costs a comparison elsewhere, on
// slow paths and in the C ABI alone. Private to the library.
#ifndef LOCKHOST_CLIENT_LOCK_SANITIZER_H_
#define LOCKHOST_CLIENT_LOCK_SANITIZER_H_

#include <cstdint>

#include "client/lock/inline_path.h"

extern "C" {
// Of the sanitizer's runtime (<sanitizer/tsan_interface.h>); null where there is none.
[[gnu::weak]] void __tsan_acquire(void* address);  // NOLINT(bugprone-reserved-identifier)
[[gnu::weak]] void __tsan_release(void* address);  // NOLINT(bugprone-reserved-identifier)
}

namespace lockhost::lock {

// After the lock was taken.
inline void TellAcquired(void* word) {
  if (__builtin_expect(__tsan_acquire != nullptr, 0)) __tsan_acquire(word);
}
inline bool TellIfAcquired(bool taken, void* word) {
  if (taken) TellAcquired(word);
  return taken;
}

// TryLockInline() where it is compiled into the library.
inline bool TryLockTelling(uint32_t* word) { return TellIfAcquired(TryLockInline(word), word); }

// Before it is released.
inline void TellReleased(void* word) {
  if (__builtin_expect(__tsan_release != nullptr, 0)) __tsan_release(word);
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_SANITIZER_H_
