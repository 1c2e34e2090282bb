/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The condition variable over an explicit environment: what lockhost::CondVar is made of,
 * and what the tests call with an environment of their own.
 *
 * Two words. `sequence` changes with every wake-up, and is what waiters sleep on: one that
 * has read it with the mutex held cannot sleep past a wake-up that follows. `waiters` counts
 * those between the two, so that a wake-up nobody waits for is no system call. Whoever has
 * changed what is waited for, with the mutex held, sees the count of all that have read it
 * before.
 *
 * A wake-up may reach a waiter that came after it, where the kernel prefers it for its
 * priority. It then has found, with the mutex held, that what it waits for was true and is
 * no more; so nobody misses anything.
 */
#ifndef LOCKHOST_CLIENT_LOCK_COND_CORE_H_
#define LOCKHOST_CLIENT_LOCK_COND_CORE_H_

#include <stdint.h>

#include "client/lock/lockhost.h"
#include "client/lock/platform.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a condition variable sleeps and wakes: like the platform's `wait` and `kick`, but with
   a deadline of whatever clock the caller means, and for all at once. */
struct lockhost_cond_ops {
  void* context;
  /* Sleeps while *word == expected. May return early. Nonzero: the deadline has passed. */
  int (*sleep)(void* context, uint32_t* word, uint32_t expected);
  /* Wakes up to `count` sleepers, the oldest first. */
  void (*wake)(void* context, uint32_t* word, uint32_t count);
};

/* Releases the mutex `word`, sleeps, acquires it again. Zero if the deadline has passed and no
   wake-up came before it; otherwise woken, possibly for no reason. */
int lockhost_core_cond_wait(const struct lockhost_env* env, const struct lockhost_cond_ops* ops,
                            lockhost_cond_t* cond, uint32_t* word);
/* Wakes up to `count` of those who wait. */
void lockhost_core_cond_wake(const struct lockhost_cond_ops* ops, lockhost_cond_t* cond,
                             uint32_t count);

#ifdef __cplusplus
}
#endif

#endif /* LOCKHOST_CLIENT_LOCK_COND_CORE_H_ */
