// SPDX-License-Identifier: Apache-2.0
//
// The part of the lock that is compiled into applications: one CAS to take a free
// lock, one exchange to release it, two plain stores into this vCPU's report slot.
// Private to spinlock.h and lockhost.cc.
#ifndef LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_
#define LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_

#include <cstdint>

#include "client/lock/lock_word.h"
#include "client/lock/process.h"
#include "client/lock/reports.h"

namespace lockhost::lock {

// Takes the lock, however long it takes; attaches the pages at the first call.
void LockSlow(uint32_t* word);

// Wakes one sleeper on the word.
void KickSlow(uint32_t* word);

inline void NoteHeldInline(uint32_t vcpu, int change) {
  lockhost_thread& self = ThisThread();
  self.held += static_cast<uint32_t>(change);
  ReportHeld(ProcessEnv(), vcpu, self);
}

inline bool TryLockInline(uint32_t* word) {
  const uint32_t vcpu = CurrentVcpu();
  uint32_t expected = 0;
  if (!__atomic_compare_exchange_n(word, &expected, HolderTag(vcpu), /*weak=*/false,
                                   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    return false;
  }
  NoteHeldInline(vcpu, +1);
  return true;
}

inline void UnlockInline(uint32_t* word) {
  const uint32_t old = __atomic_exchange_n(word, 0, __ATOMIC_RELEASE);
  NoteHeldInline(CurrentVcpu(), -1);
  if (old & kSleepers) KickSlow(word);
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_INLINE_PATH_H_
