// SPDX-License-Identifier: Apache-2.0
#include "client/lock/cond_core.h"

#include "client/lock/spin_core.h"

int lockhost_core_cond_wait(const lockhost_env* env, const lockhost_cond_ops* ops,
                            lockhost_cond_t* cond, uint32_t* word) {
  // The mutex orders both accesses with those of whoever wakes.
  __atomic_fetch_add(&cond->waiters, 1, __ATOMIC_RELAXED);
  const uint32_t sequence = __atomic_load_n(&cond->sequence, __ATOMIC_RELAXED);
  lockhost_core_unlock(env, word);
  const bool late = ops->sleep(ops->context, &cond->sequence, sequence) != 0;
  const bool woken = !late || __atomic_load_n(&cond->sequence, __ATOMIC_RELAXED) != sequence;
  lockhost_core_mutex_lock_until(env, word, UINT64_MAX);
  __atomic_fetch_sub(&cond->waiters, 1, __ATOMIC_RELAXED);
  return woken ? 1 : 0;
}

void lockhost_core_cond_wake(const lockhost_cond_ops* ops, lockhost_cond_t* cond, uint32_t count) {
  if (__atomic_load_n(&cond->waiters, __ATOMIC_RELAXED) == 0) return;
  __atomic_fetch_add(&cond->sequence, 1, __ATOMIC_RELAXED);
  ops->wake(ops->context, &cond->sequence, count);
}
