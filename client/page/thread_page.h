/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread page: what the guest's own scheduler says of the threads of one process. Written by
 * the guest agent's BPF program at each switch and wake-up (client/guest_agent/bpf), read by the
 * lock slow path of that process, which maps it read-only. One header of 64 bytes, then one
 * 64-byte slot for each thread slot; the process gives its threads their slots itself.
 *
 * As a hint page in everything: zero reads as "not known", any doubt too, and what it says may
 * change how a waiter waits, never who owns a lock. Readers: client/page/thread_reader.h.
 *
 * It counts only while the guest agent's lease in the header of the hint page holds
 * (threads_valid_until_ns), and only if the two generations agree: with the agent its programs
 * end, and what is left says for ever what was true then.
 *
 * Compatibility: as for the hint page.
 */
#ifndef LOCKHOST_CLIENT_PAGE_THREAD_PAGE_H_
#define LOCKHOST_CLIENT_PAGE_THREAD_PAGE_H_

#include "client/page/hint_page.h"

#define LOCKHOST_THREAD_PAGE_MAGIC 0x445248544b434f4cULL /* "LOCKTHRD", little-endian */

/* Threads of one process that a page describes; those beyond it are not known. */
#define LOCKHOST_MAX_THREAD_SLOTS 1024u

/* What a thread does: the low byte of lockhost_thread_slot.state_word. */
enum lockhost_thread_state {
  LOCKHOST_THREAD_STATE_UNSPECIFIED = 0, /* not known */
  LOCKHOST_THREAD_STATE_ON_CPU = 1,      /* on a CPU of the guest */
  LOCKHOST_THREAD_STATE_PREEMPTED = 2,   /* wants a CPU and has none */
  LOCKHOST_THREAD_STATE_ASLEEP = 3,      /* blocked: a futex, I/O, a page fault */
};

struct lockhost_thread_header {
  uint64_t magic;       /* LOCKHOST_THREAD_PAGE_MAGIC */
  uint32_t abi_version; /* LOCKHOST_PAGE_ABI_VERSION */
  uint16_t header_size; /* bytes before slot 0 */
  uint16_t slot_stride; /* bytes from one slot to the next */
  uint32_t slot_count;  /* slots that exist; index = thread slot */
  uint32_t reserved0;   /* zero */
  uint64_t generation;  /* of the agent that made the page; never 0 */
  uint64_t reserved[4]; /* zero */
};

struct lockhost_thread_slot {
  /*
   * enum lockhost_thread_state in bits 0-7, the guest CPU on which the thread runs or last ran
   * in bits 8-23, revision in bits 24-63: one atomic word. The CPU is the kernel's number, not
   * the vCPU's id.
   */
  uint64_t state_word;
  uint64_t owner_tid;   /* of the first pid namespace: for the writer alone; 0: nobody's */
  uint64_t reserved[6]; /* zero */
};

LOCKHOST_ABI_ASSERT(sizeof(struct lockhost_thread_header) == 64, "header is one cache line");
LOCKHOST_ABI_ASSERT(sizeof(struct lockhost_thread_slot) == 64, "slot is one cache line");

#define LOCKHOST_THREAD_CPU_SHIFT 8
#define LOCKHOST_THREAD_CPU_MASK 0xffffULL
#define LOCKHOST_THREAD_REVISION_SHIFT 24

static inline uint32_t lockhost_thread_state_of(uint64_t state_word) {
  return (uint32_t)(state_word & LOCKHOST_STATE_MASK);
}
static inline uint32_t lockhost_thread_cpu_of(uint64_t state_word) {
  return (uint32_t)(state_word >> LOCKHOST_THREAD_CPU_SHIFT & LOCKHOST_THREAD_CPU_MASK);
}
static inline uint64_t lockhost_thread_word(uint32_t state, uint32_t cpu, uint64_t revision) {
  return (revision << LOCKHOST_THREAD_REVISION_SHIFT) |
         (cpu & LOCKHOST_THREAD_CPU_MASK) << LOCKHOST_THREAD_CPU_SHIFT |
         (state & LOCKHOST_STATE_MASK);
}

#define LOCKHOST_THREAD_PAGE_BYTES(slot_count) (64u + 64u * (slot_count))

#endif /* LOCKHOST_CLIENT_PAGE_THREAD_PAGE_H_ */
