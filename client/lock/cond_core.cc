// SPDX-License-Identifier: Apache-2.0
#include "client/lock/cond_core.h"

#include "client/lock/spin_core.h"

namespace {

constexpr uint32_t kAll = INT32_MAX;

// With the mutex held, so that nobody begins to wait meanwhile; but somebody may be waking all.
void StopWaiting(lockhost_cond_t* cond) {
  uint32_t nobody = LOCKHOST_COND_MOVED;
  if (__atomic_sub_fetch(&cond->waiters, 1, __ATOMIC_RELAXED) != nobody) return;
  __atomic_compare_exchange_n(&cond->waiters, &nobody, 0, /*weak=*/false, __ATOMIC_RELAXED,
                              __ATOMIC_RELAXED);
}

}  // namespace

int lockhost_core_cond_wait(const lockhost_env* env, const lockhost_cond_ops* ops,
                            lockhost_cond_t* cond, uint32_t* word) {
  // The mutex orders all accesses with those of whoever wakes.
  __atomic_fetch_add(&cond->waiters, 1, __ATOMIC_RELAXED);
  const uint32_t sequence = __atomic_load_n(&cond->sequence, __ATOMIC_RELAXED);
  if (ops->move != nullptr) __atomic_store_n(&cond->mutex, word, __ATOMIC_RELAXED);
  lockhost_core_unlock(env, word);
  const lockhost_cond_slept slept = ops->sleep(ops->context, &cond->sequence, sequence);
  const bool woken =
      slept != LOCKHOST_COND_LATE || __atomic_load_n(&cond->sequence, __ATOMIC_RELAXED) != sequence;
  if ((__atomic_load_n(&cond->waiters, __ATOMIC_RELAXED) & LOCKHOST_COND_MOVED) != 0) {
    lockhost_core_mutex_lock_after_sleep(env, word, slept == LOCKHOST_COND_WOKEN);
  } else {
    lockhost_core_mutex_lock_until(env, word, UINT64_MAX);
  }
  StopWaiting(cond);
  return woken ? 1 : 0;
}

void lockhost_core_cond_wake_one(const lockhost_cond_ops* ops, lockhost_cond_t* cond) {
  if (__atomic_load_n(&cond->waiters, __ATOMIC_RELAXED) == 0) return;
  __atomic_fetch_add(&cond->sequence, 1, __ATOMIC_RELAXED);
  ops->wake(ops->context, &cond->sequence, 1);
}

void lockhost_core_cond_wake_all(const lockhost_cond_ops* ops, lockhost_cond_t* cond) {
  const uint32_t waiters = __atomic_load_n(&cond->waiters, __ATOMIC_RELAXED);
  if (waiters == 0) return;
  const uint32_t sequence = __atomic_add_fetch(&cond->sequence, 1, __ATOMIC_RELAXED);
  uint32_t* mutex = __atomic_load_n(&cond->mutex, __ATOMIC_RELAXED);
  if (ops->move != nullptr && mutex != nullptr && (waiters & ~LOCKHOST_COND_MOVED) > 1) {
    __atomic_fetch_or(&cond->waiters, LOCKHOST_COND_MOVED, __ATOMIC_RELAXED);
    if (ops->move(ops->context, &cond->sequence, sequence, mutex) != 0) return;
  }
  ops->wake(ops->context, &cond->sequence, kAll);
}
