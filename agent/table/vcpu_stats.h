/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vCPU has done so far, as the scheduler saw it: the host's side of the books, beside
 * the slot that its guest sees. One array for all VMs, written by BPF at the switch, frozen
 * for user space; a record belongs to a vCPU from its first thread to the end of its VM.
 *
 * Counters only grow. They are brought up to date when the vCPU's state changes, so the
 * time of the state that lasts now is not in them yet: see agent/table/stats_reader.h.
 * Written before the slot's state_word; a reader that finds that word unchanged around its
 * reads has seen one moment.
 *
 * Plain C so that BPF and C++ read the same text.
 */
#ifndef LOCKHOST_AGENT_TABLE_VCPU_STATS_H_
#define LOCKHOST_AGENT_TABLE_VCPU_STATS_H_

#include "client/page/hint_page.h"

/* Records of the array; the first is never used, so that 0 means "none". */
#define LOCKHOST_MAX_VCPU_STATS 4096u

/*
 * Bucket i of a histogram counts durations below 2^(i + 11) ns, and not below half of that
 * but for the first, which begins at 0, and the last, which has no end.
 */
#define LOCKHOST_DURATION_BUCKETS 24u

struct lockhost_vcpu_stats {
  uint64_t vm_id; /* 0: the record is free */
  uint32_t vcpu_id;
  uint32_t cpu;                 /* the physical CPU that it last ran on */
  uint64_t run_ns;              /* on a CPU, as its thread: guest, KVM and VMM */
  uint64_t halted_ns;           /* asleep in KVM: HALTED */
  uint64_t exited_ns;           /* asleep in the VMM: EXITED */
  uint64_t switch_outs;         /* as ctxt_switches of its thread, both kinds */
  uint64_t migrations;          /* went on on another CPU than before */
  uint64_t preempted_ns;        /* from a switch-out while runnable to the next switch-in */
  uint64_t holder_preempted_ns; /* of this, with a held lock in the report word */
  uint32_t preempted[LOCKHOST_DURATION_BUCKETS];
  uint32_t holder_preempted[LOCKHOST_DURATION_BUCKETS];
  uint64_t reserved[7];
};

LOCKHOST_ABI_ASSERT(sizeof(struct lockhost_vcpu_stats) == 320, "shared with BPF");

#endif /* LOCKHOST_AGENT_TABLE_VCPU_STATS_H_ */
