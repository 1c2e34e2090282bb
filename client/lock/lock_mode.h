// SPDX-License-Identifier: Apache-2.0
//
// Native or paravirtual: how free locks are taken. Either may change to the other at any
// moment, while locks are held, nested and waited for, because the lock word says how its
// holder took it, and its holder remembers (lock_word.h): a switch concerns locks that are
// taken later, and waits for nobody.
#ifndef LOCKHOST_CLIENT_LOCK_LOCK_MODE_H_
#define LOCKHOST_CLIENT_LOCK_LOCK_MODE_H_

#include <cstdint>

#include "client/lock/platform.h"

namespace lockhost::lock {

enum class ModeSetting : uint32_t { kAuto = 0, kNative = 1, kParavirtual = 2 };

// A waiter that had to sleep under a native holder has found that threads of this process lose
// their CPUs, whatever the host says: no lock is taken natively for so long.
inline constexpr uint64_t kNativeAgainAfterNs = 100'000'000;

struct ModeView {
  ModeSetting setting;
  uint32_t advised;    // enum lockhost_mode, as lockhost_read_mode() gives it
  bool napped_lately;  // a waiter has slept under a native holder
};

constexpr bool IsNative(const ModeView& view) {
  switch (view.setting) {
    case ModeSetting::kNative:
      return true;
    case ModeSetting::kParavirtual:
      return false;
    case ModeSetting::kAuto:
      break;
  }
  return view.advised == LOCKHOST_MODE_DEDICATED && !view.napped_lately;
}

inline ModeView ReadMode(const lockhost_env& env, uint64_t now_ns) {
  const lockhost_operations& operations = *env.operations;
  const uint64_t napped_at_ns = __atomic_load_n(&operations.napped_at_ns, __ATOMIC_RELAXED);
  return {.setting = static_cast<ModeSetting>(operations.setting),
          .advised = lockhost_read_mode(&env.pages, now_ns),
          .napped_lately = napped_at_ns != 0 && now_ns - napped_at_ns < kNativeAgainAfterNs};
}

// Follows the page; true if native now. Called by whoever waits, as nobody else looks.
inline bool FollowMode(const lockhost_env& env, uint64_t now_ns) {
  if (env.operations == nullptr) return false;
  const uint32_t native = IsNative(ReadMode(env, now_ns)) ? 1 : 0;
  if (__atomic_load_n(&env.operations->native, __ATOMIC_RELAXED) != native) {
    __atomic_store_n(&env.operations->native, native, __ATOMIC_RELAXED);
  }
  return native != 0;
}

inline bool TakesNatively(const lockhost_operations& operations) {
  return __atomic_load_n(&operations.native, __ATOMIC_RELAXED) != 0;
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_LOCK_MODE_H_
