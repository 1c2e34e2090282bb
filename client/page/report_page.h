/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report page: what a guest's lock slow path tells the outside. Written by
 * every application of the guest that uses the lock, so nobody may trust a word
 * of it: a wrong value costs its own guest a wake-up or a hint, nothing else.
 *
 * Read by the guest agent (demand, awaited vCPUs) and, where the host can reach
 * the memory, by the host's BPF program at the very switch that deschedules a
 * vCPU. One header of 64 bytes, then 128 bytes for each vCPU (index = vCPU id):
 * the first cache line is written by that vCPU alone, the second by waiters.
 */
#ifndef LOCKHOST_CLIENT_PAGE_REPORT_PAGE_H_
#define LOCKHOST_CLIENT_PAGE_REPORT_PAGE_H_

#include "client/page/hint_page.h"

#define LOCKHOST_REPORT_PAGE_MAGIC 0x535452504b434f4cULL /* "LOCKPRTS", little-endian */

struct lockhost_report_header {
  uint64_t magic;       /* LOCKHOST_REPORT_PAGE_MAGIC */
  uint32_t abi_version; /* LOCKHOST_PAGE_ABI_VERSION */
  uint32_t slot_count;  /* slots that exist */
  /*
   * Demand. The guest agent arms the bell when it goes idle; the first waiter
   * that finds it armed disarms it (exchange), bumps `bell` and wakes the futex
   * on `bell`. No other lock operation ever makes a system call for the agent.
   */
  uint32_t bell_armed;
  uint32_t bell;        /* futex word; the agent waits for it to change */
  uint64_t reserved[5]; /* zero */
};

struct lockhost_report_slot {
  /*
   * The report word. Bits 0-15: thread slot + 1 of the thread that holds a lock
   * on this vCPU, 0 when none does. Bits 16-63: a number that changes with every
   * store. Plain relaxed store by the vCPU itself. May be wrong for a while when a
   * holder migrates between vCPUs: legal, readers treat it as a hint.
   */
  uint64_t report_word;
  /*
   * vCPU id + 1 of the holder that the thread which last waited on this vCPU waits for,
   * asleep or spinning; 0: none. Plain relaxed stores by the vCPU itself. The host reads it
   * at the switch: whether a preempted holder keeps anybody waiting, and, when a waiter
   * goes to sleep, whom to run again. May be wrong for a while, as above.
   */
  uint64_t waits_for;
  /*
   * What that thread is to the sleepers of the lock (lock_word.h): LOCKHOST_WAIT_ASLEEP, one
   * of them, which is woken to take the lock on behalf of the others; LOCKHOST_WAIT_HEIR, awake
   * on their behalf; 0: neither. While an heir has no CPU they sleep on though the lock is
   * free, so the host may run it at once. Plain relaxed stores by the vCPU itself; may be wrong
   * for a while, as above.
   */
  uint64_t wait_role;
  uint64_t reserved_holder[5]; /* zero */
  /*
   * Non-zero: somebody has lately waited for a lock held on this vCPU. Set by
   * waiters only if it was zero (so a contended lock does not bounce the line),
   * cleared by the guest agent at each look while demand lasts. Legal to be set
   * for nothing; legal to be missed for one look.
   */
  uint32_t awaited;
  uint32_t reserved_waiter[15]; /* zero */
};

LOCKHOST_ABI_ASSERT(sizeof(struct lockhost_report_header) == 64, "header is one cache line");
LOCKHOST_ABI_ASSERT(sizeof(struct lockhost_report_slot) == 128, "one line a writer");

#define LOCKHOST_REPORT_HOLDER_MASK 0xffffULL
#define LOCKHOST_REPORT_COUNT_SHIFT 16
#define LOCKHOST_REPORT_WAITS_FOR_OFFSET 8u
#define LOCKHOST_REPORT_WAIT_ROLE_OFFSET 16u
#define LOCKHOST_REPORT_AWAITED_OFFSET 64u

#define LOCKHOST_WAIT_ASLEEP 1u
#define LOCKHOST_WAIT_HEIR 2u

#define LOCKHOST_REPORT_PAGE_BYTES(slot_count) (64u + 128u * (slot_count))

#endif /* LOCKHOST_CLIENT_PAGE_REPORT_PAGE_H_ */
