/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liblockhost, C ABI: 4-byte locks for user space of virtual machines whose host
 * may deschedule a vCPU at any moment. C++ programs take client/lock/spinlock.h and
 * client/lock/mutex.h, whose fast paths are inline.
 *
 * Who should not use the spinlock: code that holds a lock for longer than a few hundred
 * microseconds or sleeps while holding it (use the mutex). Neither may be shared between
 * processes, because their futexes are private to one: there are variants for that.
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

#include <stddef.h>
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

/*
 * A mutex: the same lock word and the same fast path, for locks that are held for longer or
 * by threads that sleep meanwhile. A waiter does not take a vCPU that runs for a holder that
 * does, hence never spins for longer than it does without hints.
 */
typedef struct lockhost_mutex {
  uint32_t word; /* private: client/lock/lock_word.h */
} lockhost_mutex_t;

#define LOCKHOST_MUTEX_INITIALIZER \
  { 0 }

/* Clocks of deadlines. A step of the wall clock is noticed within 0.1 s by who waits for a
   mutex, at once by who waits for a condition. */
typedef enum lockhost_clock {
  LOCKHOST_CLOCK_MONOTONIC = 0, /* CLOCK_MONOTONIC */
  LOCKHOST_CLOCK_REALTIME = 1,  /* CLOCK_REALTIME */
} lockhost_clock_t;

/* As the functions of the spinlock above. */
void lockhost_mutex_lock(lockhost_mutex_t* mutex);
int lockhost_mutex_trylock(lockhost_mutex_t* mutex);
int lockhost_mutex_timedlock(lockhost_mutex_t* mutex, lockhost_clock_t clock, uint64_t deadline_ns);
void lockhost_mutex_unlock(lockhost_mutex_t* mutex);
int lockhost_mutex_is_locked(const lockhost_mutex_t* mutex);
int lockhost_mutex_is_contended(const lockhost_mutex_t* mutex);

/* A condition variable. Zero-initialised is valid. Not to be copied, moved or freed before
   every wait has returned. */
typedef struct lockhost_cond {
  uint32_t sequence; /* private: client/lock/cond_core.h */
  uint32_t waiters;
} lockhost_cond_t;

#define LOCKHOST_COND_INITIALIZER \
  { 0, 0 }

/*
 * Releases the mutex, waits, acquires it again. May return for no reason, so the caller
 * looks again. What is waited for must be changed with the mutex held; whether it is still
 * held at the wake-up does not matter. REQUIRES: the calling thread holds the mutex, and all
 * who wait at the same time use the same one.
 */
void lockhost_cond_wait(lockhost_cond_t* cond, lockhost_mutex_t* mutex);

/* The same, but no longer than until `clock` has reached `deadline_ns`. Returns 0 if that is
   why it returns, otherwise 1. The mutex is held in either case. */
int lockhost_cond_timedwait(lockhost_cond_t* cond, lockhost_mutex_t* mutex, lockhost_clock_t clock,
                            uint64_t deadline_ns);

/* Wakes at least one of those who wait, or all. No system call if there are none. */
void lockhost_cond_signal(lockhost_cond_t* cond);
void lockhost_cond_broadcast(lockhost_cond_t* cond);

/*
 * The same three in memory that processes share: all zero at first, as a MAP_SHARED mapping is;
 * never native; not inline. A waiter that is killed costs the others 50 ms at most: nobody sleeps
 * for longer without looking, so that a wait on a condition ends for no reason that often. An owner
 * that is killed keeps the lock for ever: where that may be, use the robust mutex below.
 * Functions are those above, for other types.
 */
typedef struct lockhost_pshared_spinlock {
  uint32_t word;
} lockhost_pshared_spinlock_t;
typedef struct lockhost_pshared_mutex {
  uint32_t word;
} lockhost_pshared_mutex_t;
typedef struct lockhost_pshared_cond {
  lockhost_cond_t cond;
} lockhost_pshared_cond_t;

#define LOCKHOST_PSHARED_SPINLOCK_INITIALIZER \
  { 0 }
#define LOCKHOST_PSHARED_MUTEX_INITIALIZER \
  { 0 }
#define LOCKHOST_PSHARED_COND_INITIALIZER \
  { LOCKHOST_COND_INITIALIZER }

void lockhost_pshared_spin_lock(lockhost_pshared_spinlock_t* lock);
int lockhost_pshared_spin_trylock(lockhost_pshared_spinlock_t* lock);
int lockhost_pshared_spin_timedlock(lockhost_pshared_spinlock_t* lock, uint64_t deadline_ns);
void lockhost_pshared_spin_unlock(lockhost_pshared_spinlock_t* lock);

void lockhost_pshared_mutex_lock(lockhost_pshared_mutex_t* mutex);
int lockhost_pshared_mutex_trylock(lockhost_pshared_mutex_t* mutex);
int lockhost_pshared_mutex_timedlock(lockhost_pshared_mutex_t* mutex, lockhost_clock_t clock,
                                     uint64_t deadline_ns);
void lockhost_pshared_mutex_unlock(lockhost_pshared_mutex_t* mutex);

void lockhost_pshared_cond_wait(lockhost_pshared_cond_t* cond, lockhost_pshared_mutex_t* mutex);
int lockhost_pshared_cond_timedwait(lockhost_pshared_cond_t* cond, lockhost_pshared_mutex_t* mutex,
                                    lockhost_clock_t clock, uint64_t deadline_ns);
void lockhost_pshared_cond_signal(lockhost_pshared_cond_t* cond);
void lockhost_pshared_cond_broadcast(lockhost_pshared_cond_t* cond);

/*
 * A mutex in memory that processes share, which outlives an owner that dies while it holds it.
 * Zero-initialised is valid: a MAP_SHARED mapping starts so. It knows neither vCPUs nor hints,
 * and costs more than the mutex above: use it where processes share data and may be killed.
 *
 * How a dead owner is found: the word holds the owner's thread id, and when that thread
 * started. A waiter sleeps for 50 ms at most, then looks whether that thread is alive (kill()
 * with signal 0) and still the same one (/proc: the time of its start, against the reuse of
 * ids; its state, because an exited thread may stay as a zombie). So a dead owner is noticed
 * after 50 ms and the time of a read in /proc; lockhost_robust_trylock() looks at once. The
 * kernel's robust list would be faster, but a thread has only one and libc owns it.
 *
 * Limits: all who share it must be in one pid namespace. Where /proc hides a thread, one that
 * got a dead owner's id keeps the mutex locked. Not recursive; fork() is fine, a child of
 * vfork() or of a raw clone() must not use it.
 */
typedef struct lockhost_robust_mutex {
  uint64_t word; /* private: client/lock/robust_word.h */
} lockhost_robust_mutex_t;

#define LOCKHOST_ROBUST_MUTEX_INITIALIZER \
  { 0 }

/*
 * 0: acquired. EOWNERDEAD: acquired, but its last owner died and may have left the data in
 * disorder: put them in order and call lockhost_robust_consistent(). ENOTRECOVERABLE: not
 * acquired, now and for ever, because somebody released it without having done that.
 * Acquire order, also with EOWNERDEAD.
 */
int lockhost_robust_lock(lockhost_robust_mutex_t* mutex);
/* The same, or EBUSY if its owner lives. */
int lockhost_robust_trylock(lockhost_robust_mutex_t* mutex);
/* The same, or ETIMEDOUT once CLOCK_MONOTONIC has reached `deadline_ns`. */
int lockhost_robust_timedlock(lockhost_robust_mutex_t* mutex, uint64_t deadline_ns);
/* The data are in order again. REQUIRES, as below: the calling thread holds the mutex. */
void lockhost_robust_consistent(lockhost_robust_mutex_t* mutex);
/* Releases; release order. In disorder nobody gets it any more. */
void lockhost_robust_unlock(lockhost_robust_mutex_t* mutex);

/* Whether hints are used, and if not, why. */
typedef enum lockhost_status_code {
  LOCKHOST_STATUS_NOT_ATTACHED = 0, /* no lock was contended yet, nobody called attach */
  LOCKHOST_STATUS_HINTS = 1,        /* attached, and the page's lease is valid */
  LOCKHOST_STATUS_DISABLED = 2,     /* LOCKHOST_HINTS=off in the environment */
  LOCKHOST_STATUS_NO_PAGE = 3,      /* nobody hands a page over: does lockhost-guestd run? */
  LOCKHOST_STATUS_BAD_PAGE = 4,     /* wrong magic, ABI version or size */
  LOCKHOST_STATUS_STALE = 5,        /* attached, but the lease has run out */
  LOCKHOST_STATUS_BAD_SETTING = 6,  /* LOCKHOST_HINTS or LOCKHOST_MODE has no such value */
  LOCKHOST_STATUS_UNSEALED = 7,     /* the page could shrink, which would kill the process */
} lockhost_status_code_t;

lockhost_status_code_t lockhost_status(void);

/* The same in words; a constant string. */
const char* lockhost_status_text(lockhost_status_code_t status);

/* The status of this process and by what operations it takes locks, with the reason, in one
   line of words. Writes and returns as snprintf() does. */
size_t lockhost_describe(char* text, size_t bytes);

/*
 * Maps the guest agent's pages now instead of at the first contended lock. Only the
 * first call in a process does anything. The agent hands them over at its socket,
 * LOCKHOST_PAGE_SOCKET or /run/lockhost-guest/pages.sock; where LOCKHOST_HINT_PAGE is set, it
 * and LOCKHOST_REPORT_PAGE are paths to be opened instead. Not for use in signal handlers.
 */
lockhost_status_code_t lockhost_attach(void);

#ifdef __cplusplus
}
#endif

#endif /* LOCKHOST_CLIENT_LOCK_LOCKHOST_H_ */
