/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock over an explicit environment: what `lockhost::SpinLock` and the C ABI
 * are made of, and what the lab guest and the tests call with an environment of
 * their own. Applications use client/lock/spinlock.h or lockhost.h instead.
 */
#ifndef LOCKHOST_CLIENT_LOCK_SPIN_CORE_H_
#define LOCKHOST_CLIENT_LOCK_SPIN_CORE_H_

#include <stdint.h>

#include "client/lock/platform.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Acquires; acquire order. `word` is zero-initialised at first use. */
void lockhost_core_lock(const struct lockhost_env* env, uint32_t* word);
/* The same, but gives up once the platform's clock has reached `deadline_ns` (UINT64_MAX:
   never). True if the lock is held now. A lock that is free is taken even after that. */
int lockhost_core_lock_until(const struct lockhost_env* env, uint32_t* word, uint64_t deadline_ns);
/* The same for a lock whose holders may sleep while they hold it. */
int lockhost_core_mutex_lock_until(const struct lockhost_env* env, uint32_t* word,
                                   uint64_t deadline_ns);
/* True if it was free and is now held; acquire order on success. */
int lockhost_core_trylock(const struct lockhost_env* env, uint32_t* word);
/* The same, but a free lock that is claimed is left to its claimant: for who waits otherwise. */
int lockhost_core_trylock_in_turn(const struct lockhost_env* env, uint32_t* word);
/* Releases; release order. The caller must hold the lock. */
void lockhost_core_unlock(const struct lockhost_env* env, uint32_t* word);

#ifdef __cplusplus
}
#endif

#endif /* LOCKHOST_CLIENT_LOCK_SPIN_CORE_H_ */
