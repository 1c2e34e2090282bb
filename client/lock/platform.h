/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the lock needs from the world, as a table of functions, so that the very
 * code that applications link also runs where there is no kernel (the lab guest),
 * and under a test's hand. The idea is Concurrency Kit's `ck_ec_ops`.
 *
 * Every function is called with the environment's `context`. None may take a lock
 * of this library. Plain C: no libc, no C++ runtime.
 */
#ifndef LOCKHOST_CLIENT_LOCK_PLATFORM_H_
#define LOCKHOST_CLIENT_LOCK_PLATFORM_H_

#include <stdint.h>

#include "client/page/hint_reader.h"
#include "client/page/thread_reader.h"

#define LOCKHOST_UNKNOWN_VCPU LOCKHOST_UNKNOWN_CPU

/* What a waiter is doing; handed to `pause` and `wait` for whoever measures. */
struct lockhost_waiting {
  uint32_t awaited_vcpu;   /* of the lock's holder; LOCKHOST_UNKNOWN_VCPU: not known */
  uint32_t believed_state; /* enum lockhost_run_state: what the waiter acts upon */
};

/* How soon the thread comes back to the lock that it waited for last: turns.h. */
struct lockhost_turns {
  const uint32_t* word;    /* that lock; only compared */
  uint64_t released_ticks; /* when the thread last released it; 0: has tried to take it since */
  uint32_t waits;          /* how often it has waited for it since it last waited for another */
  uint32_t noted;          /* so many more gaps are noted */
  uint32_t gap_ticks;      /* from a release to the next attempt, on average; 0: not known */
  uint32_t fetch_ticks;    /* what it takes to fetch its cache line, on average; 0: not known */
};

/* The calling thread, as the lock knows it. Owned by the platform, one a thread. */
struct lockhost_thread {
  /* What it last reported as a holder: bits 0-15 name the thread (a slot below 65,535, plus 1),
     16-63 are a number. */
  uint64_t report;
  uint32_t held;         /* locks it holds now, those held natively apart */
  uint32_t* native_word; /* the lock that it holds by native operations; null: none */
  /* Its slot in the thread page plus 1, 0: none. The guest agent's BPF program reads it here. */
  uint32_t number;
  struct lockhost_turns turns;
};

/* By what operations free locks are taken, and what that follows from: lock_mode.h. */
struct lockhost_operations {
  uint32_t native;       /* 1: native; may change at any moment */
  uint32_t setting;      /* lockhost::lock::ModeSetting; constant */
  uint64_t napped_at_ns; /* when a waiter last slept under a native holder; 0: never */
};

struct lockhost_platform {
  /* Sleeps while *word == expected, for at most timeout_ns (UINT64_MAX: no limit). May
     return early for no reason. Must not miss a `kick` that follows a change of *word
     (futex semantics). Nonzero if a `kick` counted this sleeper; when in doubt, nonzero. */
  int (*wait)(void* context, uint32_t* word, uint32_t expected, uint64_t timeout_ns,
              const struct lockhost_waiting* waiting);
  /* Wakes the oldest sleeper on `word`. Nonzero if there was one; when in doubt, zero. */
  int (*kick)(void* context, uint32_t* word);
  /* Reads *word into *seen, relaxed. Nonzero if somebody seems to have written to its cache line
     since the caller last read it: the ticks that it took to fetch the line. When in doubt, zero,
     and where the word has no holder: that one acts upon at once. */
  uint32_t (*watch)(void* context, const uint32_t* word, uint32_t* seen);
  /* A clock that costs next to nothing, in the ticks of `watch`. Of use only to compare with them.
   */
  uint64_t (*ticks)(void* context);
  /* One spin-wait hint (x86 PAUSE). */
  void (*pause)(void* context, const struct lockhost_waiting* waiting);
  /* KVM id of the vCPU the caller runs on; may be out of date on return. */
  uint32_t (*current_vcpu)(void* context);
  /* The calling thread; never null. */
  struct lockhost_thread* (*self)(void* context);
  /* The guest's CLOCK_MONOTONIC (ns), the clock of lockhost_hint_header.valid_until_ns. */
  uint64_t (*now_ns)(void* context);
  /* Wakes the guest agent that sleeps on reports->bell. */
  void (*ring)(void* context, struct lockhost_report_header* reports);
};

/* Where a lock's operations run. The pages must stay mapped as long as any lock
   operation may run. */
struct lockhost_env {
  const struct lockhost_platform* platform;
  void* context;
  struct lockhost_pages pages;
  struct lockhost_operations* operations; /* null: paravirtual for ever */
  /* With slots, lock words name threads instead of vCPUs: lock_word.h. Null: they never do. */
  const struct lockhost_threads* threads;
};

#endif /* LOCKHOST_CLIENT_LOCK_PLATFORM_H_ */
