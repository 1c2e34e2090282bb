/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The condition variable over an explicit environment: what lockhost::CondVar is made of,
 * and what the tests call with an environment of their own.
 *
 * `sequence` changes with every wake-up, and is what waiters sleep on: one that has read it
 * with the mutex held cannot sleep past a wake-up that follows. `waiters` counts those between
 * the two, so that a wake-up nobody waits for is no system call. Whoever has changed what is
 * waited for, with the mutex held, sees the count of all that have read it before.
 *
 * Who wakes all wakes one, and lets the kernel move the others to `mutex`, on which they go on
 * sleeping (Drepper, "Futexes Are Tricky"): for a mutex that but one of them can have, the others
 * would only take CPUs from its holder. From then on, until nobody waits, LOCKHOST_COND_MOVED is
 * set in `waiters`: whoever finds it takes the mutex as one that has slept on it, so that each
 * wakes the next. It may be set for nothing, which costs a wake-up too many; it must be set before
 * anybody is moved. In memory that processes share nobody is moved, and `mutex` stays null: those
 * behind one that is killed would sleep on.
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
#define LOCKHOST_COND_MOVED 0x80000000u

/* What ended a sleep. */
enum lockhost_cond_slept {
  LOCKHOST_COND_WOKEN = 0, /* or perhaps so */
  LOCKHOST_COND_EARLY = 1, /* nothing; nobody's wake-up was spent on it */
  LOCKHOST_COND_LATE = 2,  /* the deadline; likewise */
};

struct lockhost_cond_ops {
  void* context;
  /* Sleeps while *word == expected. May return early. */
  enum lockhost_cond_slept (*sleep)(void* context, uint32_t* word, uint32_t expected);
  /* Wakes up to `count` sleepers, the oldest first. */
  void (*wake)(void* context, uint32_t* word, uint32_t count);
  /* If *word == expected still: wakes the oldest sleeper, the others sleep on `mutex` from then
     on, behind those that do so already. Zero if not. Null: sleepers cannot be moved. */
  int (*move)(void* context, uint32_t* word, uint32_t expected, uint32_t* mutex);
};

/* Releases the mutex `word`, sleeps, acquires it again. Zero if the deadline has passed and no
   wake-up came before it; otherwise woken, possibly for no reason. */
int lockhost_core_cond_wait(const struct lockhost_env* env, const struct lockhost_cond_ops* ops,
                            lockhost_cond_t* cond, uint32_t* word);
/* Wakes one of those who wait, or all. */
void lockhost_core_cond_wake_one(const struct lockhost_cond_ops* ops, lockhost_cond_t* cond);
void lockhost_core_cond_wake_all(const struct lockhost_cond_ops* ops, lockhost_cond_t* cond);

#ifdef __cplusplus
}
#endif

#endif /* LOCKHOST_CLIENT_LOCK_COND_CORE_H_ */
