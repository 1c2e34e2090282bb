/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liblockhost, C ABI: a 4-byte lock for user space of virtual machines whose host
 * may deschedule a vCPU at any moment. C++ programs take client/lock/spinlock.h,
 * whose fast path is inline.
 *
 * Who should not use it: code that holds a lock for longer than a few hundred
 * microseconds or sleeps while holding it (use pthread_mutex), and locks shared
 * between processes (this version's futexes are private to a process).
 *
 * It works everywhere as an ordinary spin-then-futex lock. Where lockhost-guestd
 * runs, its page tells waiters which vCPUs run, and they stop spinning on a holder
 * that does not. Hints change how a waiter waits, never who owns the lock.
 *
 * Thread-safety: all functions, for any lock, from any thread. Not async-signal-safe.
 * No function fails or sets errno, except where stated.
 */
#ifndef LOCKHOST_CLIENT_LOCK_LOCKHOST_H_
#define LOCKHOST_CLIENT_LOCK_LOCKHOST_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialised is valid and free. Do not copy or move while in use. */
typedef struct lockhost_spinlock {
  uint32_t word; /* private: client/lock/lock_word.h */
} lockhost_spinlock_t;

#define LOCKHOST_SPINLOCK_INITIALIZER \
  { 0 }

/* Acquires; acquire order. Not recursive: a thread that holds the lock waits for ever. */
void lockhost_spin_lock(lockhost_spinlock_t* lock);

/* Acquires if free; acquire order on success. Returns 1 on success, 0 otherwise. */
int lockhost_spin_trylock(lockhost_spinlock_t* lock);

/*
 * Acquires, but gives up once CLOCK_MONOTONIC has reached `deadline_ns` (0 is long past,
 * UINT64_MAX never comes). Returns 1 if acquired (acquire order), 0 otherwise. A lock that is
 * free is acquired even after the deadline. Steps of the wall clock do not matter.
 */
int lockhost_spin_timedlock(lockhost_spinlock_t* lock, uint64_t deadline_ns);

/* Releases; release order. REQUIRES: the calling thread holds the lock. */
void lockhost_spin_unlock(lockhost_spinlock_t* lock);

/* Whether somebody held the lock a moment ago; relaxed. */
int lockhost_spin_is_locked(const lockhost_spinlock_t* lock);

/*
 * Whether threads slept for the lock a moment ago; relaxed. Waiters that spin leave no
 * trace. May say yes for nothing until the lock is next released.
 */
int lockhost_spin_is_contended(const lockhost_spinlock_t* lock);

/* Whether hints are used, and if not, why. */
typedef enum lockhost_status_code {
  LOCKHOST_STATUS_NOT_ATTACHED = 0, /* no lock was contended yet, nobody called attach */
  LOCKHOST_STATUS_HINTS = 1,        /* attached, and the page's lease is valid */
  LOCKHOST_STATUS_DISABLED = 2,     /* LOCKHOST_HINTS=off in the environment */
  LOCKHOST_STATUS_NO_PAGE = 3,      /* the page cannot be opened: does lockhost-guestd run? */
  LOCKHOST_STATUS_BAD_PAGE = 4,     /* wrong magic, ABI version or size */
  LOCKHOST_STATUS_STALE = 5,        /* attached, but the lease has run out */
} lockhost_status_code_t;

lockhost_status_code_t lockhost_status(void);

/* The same in words; a constant string. */
const char* lockhost_status_text(lockhost_status_code_t status);

/*
 * Maps the guest agent's pages now instead of at the first contended lock. Only the
 * first call in a process does anything. Paths are those of the environment variables
 * LOCKHOST_HINT_PAGE and LOCKHOST_REPORT_PAGE, by default /run/lockhost-guest/hints
 * and /run/lockhost-guest/reports. Not for use in signal handlers.
 */
lockhost_status_code_t lockhost_attach(void);

#ifdef __cplusplus
}
#endif

#endif /* LOCKHOST_CLIENT_LOCK_LOCKHOST_H_ */
