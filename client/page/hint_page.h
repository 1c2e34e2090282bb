/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hint page: shared-memory ABI between whoever knows the run state of this
 * VM's vCPUs and the lock slow path. One header of 64 bytes, then one 64-byte
 * slot for each vCPU; the slot's index is the KVM vCPU id.
 *
 * Three writers exist and a reader cannot tell which: the guest agent (from
 * gRPC), the host's BPF program (the VM's own vCPU table, `direct-map`) and
 * lockhostd (`direct-file`). Exactly one of them writes a given page; every
 * reader maps it read-only.
 *
 * Zero reads as "no hint", so a fresh or cleared page is valid and says nothing.
 * Any doubt (bad magic, other version, short page, lease run out, torn slot,
 * unknown vCPU) must be read as "no hint" too: see client/page/hint_reader.h.
 * A hint may be wrong for a while. It may change how a waiter waits, never who
 * owns a lock.
 *
 * Compatibility: readers refuse another `abi_version`. Within a version fields
 * are only ever added in reserved space, where zero means "not supported", and
 * `header_size` and `slot_stride` may only grow.
 *
 * Modelled on the kernel's steal-time page (Documentation/virt/kvm/x86/msr.rst).
 * Plain C so that BPF, the kernel-less lab guest and C++ read the same text.
 */
#ifndef LOCKHOST_CLIENT_PAGE_HINT_PAGE_H_
#define LOCKHOST_CLIENT_PAGE_HINT_PAGE_H_

#ifndef __BPF__
#include <stddef.h>
#include <stdint.h>
#endif

#ifdef __cplusplus
#define LOCKHOST_ABI_ASSERT(condition, text) static_assert(condition, text)
#else
#define LOCKHOST_ABI_ASSERT(condition, text) _Static_assert(condition, text)
#endif

#define LOCKHOST_HINT_PAGE_MAGIC 0x54534f484b434f4cULL /* "LOCKHOST", little-endian */
#define LOCKHOST_PAGE_ABI_VERSION 1u

/* vCPU ids at or above this are not described by a page (counted by the host). */
#define LOCKHOST_MAX_SLOTS 1024u

/* Run state of a vCPU: the low byte of lockhost_hint_slot.state_word. */
enum lockhost_run_state {
  LOCKHOST_RUN_STATE_UNSPECIFIED = 0, /* no hint */
  LOCKHOST_RUN_STATE_RUNNING = 1,     /* on a physical CPU */
  LOCKHOST_RUN_STATE_PREEMPTED = 2,   /* wants a CPU and has none */
  LOCKHOST_RUN_STATE_HALTED = 3,      /* blocked in KVM: the guest is idle */
  LOCKHOST_RUN_STATE_EXITED = 4,      /* asleep in the VMM: I/O, page fault */
};

/* Lock mode that the host advises. */
enum lockhost_mode {
  LOCKHOST_MODE_UNSPECIFIED = 0,
  LOCKHOST_MODE_DEDICATED = 1,     /* a CPU for each vCPU: spinning is safe */
  LOCKHOST_MODE_OVERCOMMITTED = 2, /* vCPUs may be preempted at any moment */
};

/* How the slots come to be written. */
enum lockhost_page_path {
  LOCKHOST_PAGE_PATH_UNSPECIFIED = 0,
  LOCKHOST_PAGE_PATH_GRPC = 1,
  LOCKHOST_PAGE_PATH_DIRECT_MAP = 2,
  LOCKHOST_PAGE_PATH_DIRECT_FILE = 3,
};

struct lockhost_hint_header {
  uint64_t magic;       /* LOCKHOST_HINT_PAGE_MAGIC; written last at set-up (release) */
  uint32_t abi_version; /* LOCKHOST_PAGE_ABI_VERSION */
  uint16_t header_size; /* bytes before slot 0 */
  uint16_t slot_stride; /* bytes from one slot to the next */
  uint32_t slot_count;  /* slots that exist; index = vCPU id */
  uint32_t mode;        /* enum lockhost_mode */
  uint64_t generation;  /* changes with a new host, agent or VM; 0 = not yet known */
  /*
   * The lease: hints count only while the guest's CLOCK_MONOTONIC is below this
   * (ns). Written by the guest agent in its own page alone, because only the
   * guest knows its clock; 0 in a vCPU table, and 0 means "no hint".
   */
  uint64_t valid_until_ns;
  uint32_t path; /* enum lockhost_page_path */
  /*
   * 0: every switch is seen. Else (ns) the writer only looks at the vCPUs, this often while
   * there is demand: a state may have ended unseen, so RUNNING is no reason to wait longer,
   * and that a vCPU does not run is believed for two looks.
   */
  uint32_t sampled_every_ns;
  /*
   * The lease of thread pages (client/page/thread_page.h), likewise written by the guest agent
   * in its own page alone: those of this generation count while CLOCK_MONOTONIC is below this.
   * Apart from the lease above, for threads are known where no host is heard, too.
   */
  uint64_t threads_valid_until_ns;
  uint64_t threads_generation; /* 0: no thread page counts */
};

struct lockhost_hint_slot {
  /*
   * enum lockhost_run_state in bits 0-7, revision in bits 8-63: one atomic word,
   * so a state always comes with the revision at which it was true. Every change
   * of state bumps the revision. Written with release order after `witness`.
   */
  uint64_t state_word;
  /*
   * The vCPU's report word (client/page/report_page.h) at the moment it was
   * switched out, 0 where nobody could read it. While the vCPU is off its CPU the
   * word cannot change; a reader that finds another value there knows that the
   * vCPU has run since, hence that a PREEMPTED hint is out of date.
   */
  uint64_t witness;
  uint64_t since_ns;                /* writer's CLOCK_MONOTONIC at the last change of state */
  uint64_t steal_ns;                /* wanting a CPU and having none, as MSR_KVM_STEAL_TIME */
  uint64_t preemptions;             /* switched out while runnable */
  uint64_t lock_holder_preemptions; /* of these, with a held lock in the report word */
  uint64_t stopped_ns;              /* writer's CLOCK_MONOTONIC when it last ceased to run */
  /*
   * The state_word of the latest preemption of which the host's booster was told, so that the
   * vCPU may be back within a fraction of a millisecond; 0: of none. Written after state_word,
   * by the BPF source alone. Means something while the two are equal. May be wrong: the booster
   * may refuse; and it is taken back when another vCPU of the VM gets the CPU that the holder lost.
   */
  uint64_t recalled;
};

LOCKHOST_ABI_ASSERT(sizeof(struct lockhost_hint_header) == 64, "header is one cache line");
LOCKHOST_ABI_ASSERT(sizeof(struct lockhost_hint_slot) == 64, "slot is one cache line");
#ifndef __BPF__
LOCKHOST_ABI_ASSERT(offsetof(struct lockhost_hint_header, generation) == 24, "ABI");
LOCKHOST_ABI_ASSERT(offsetof(struct lockhost_hint_header, valid_until_ns) == 32, "ABI");
LOCKHOST_ABI_ASSERT(offsetof(struct lockhost_hint_header, threads_valid_until_ns) == 48, "ABI");
LOCKHOST_ABI_ASSERT(offsetof(struct lockhost_hint_slot, witness) == 8, "ABI");
LOCKHOST_ABI_ASSERT(offsetof(struct lockhost_hint_slot, lock_holder_preemptions) == 40, "ABI");
#endif

#define LOCKHOST_STATE_MASK 0xffULL
#define LOCKHOST_REVISION_SHIFT 8

static inline uint32_t lockhost_state_of(uint64_t state_word) {
  return (uint32_t)(state_word & LOCKHOST_STATE_MASK);
}
static inline uint64_t lockhost_revision_of(uint64_t state_word) {
  return state_word >> LOCKHOST_REVISION_SHIFT;
}
static inline uint64_t lockhost_state_word(uint32_t run_state, uint64_t revision) {
  return (revision << LOCKHOST_REVISION_SHIFT) | (run_state & LOCKHOST_STATE_MASK);
}

/* Bytes of a page with `slot_count` slots of this version. */
#define LOCKHOST_HINT_PAGE_BYTES(slot_count) (64u + 64u * (slot_count))

#endif /* LOCKHOST_CLIENT_PAGE_HINT_PAGE_H_ */
