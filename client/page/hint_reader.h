/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads hints as every reader must: any doubt is "no hint". Pure functions over
 * mapped pages; no system call, no library.
 *
 * Thread-safety: all functions may run concurrently with the page's writer and
 * with one another. A page may be hostile: no value read from it is ever used as
 * an index, a size or a pointer.
 */
#ifndef LOCKHOST_CLIENT_PAGE_HINT_READER_H_
#define LOCKHOST_CLIENT_PAGE_HINT_READER_H_

#include "client/page/hint_page.h"
#include "client/page/report_page.h"

/*
 * Pages as checked once, when they were attached. The counts are copies: the pages'
 * own are not looked at again. `lease` and `hints` may be the same page. Null
 * pointers (a zeroed struct) mean: no hints, no reports.
 */
struct lockhost_pages {
  const struct lockhost_hint_header* lease; /* the guest agent's page: valid_until_ns */
  const struct lockhost_hint_header* hints; /* the page with the slots */
  struct lockhost_report_header* reports;
  uint32_t hint_slots;
  uint32_t report_slots;
};

/*
 * How many slots of a hint page of `bytes` mapped bytes may be read; 0 if it is not
 * a hint page of this ABI version. Acquires the set-up made before `magic`.
 */
static inline uint32_t lockhost_check_hint_page(const struct lockhost_hint_header* page,
                                                uint64_t bytes) {
  if (!page || bytes < sizeof(*page)) return 0;
  if (__atomic_load_n(&page->magic, __ATOMIC_ACQUIRE) != LOCKHOST_HINT_PAGE_MAGIC) return 0;
  if (page->abi_version != LOCKHOST_PAGE_ABI_VERSION) return 0;
  if (page->header_size != sizeof(struct lockhost_hint_header)) return 0;
  if (page->slot_stride != sizeof(struct lockhost_hint_slot)) return 0;
  const uint64_t room = (bytes - sizeof(*page)) / sizeof(struct lockhost_hint_slot);
  uint64_t slots = page->slot_count;
  if (slots > LOCKHOST_MAX_SLOTS) slots = LOCKHOST_MAX_SLOTS;
  return (uint32_t)(slots < room ? slots : room);
}

/* The same for a report page. */
static inline uint32_t lockhost_check_report_page(const struct lockhost_report_header* page,
                                                  uint64_t bytes) {
  if (!page || bytes < sizeof(*page)) return 0;
  if (__atomic_load_n(&page->magic, __ATOMIC_ACQUIRE) != LOCKHOST_REPORT_PAGE_MAGIC) return 0;
  if (page->abi_version != LOCKHOST_PAGE_ABI_VERSION) return 0;
  const uint64_t room = (bytes - sizeof(*page)) / sizeof(struct lockhost_report_slot);
  uint64_t slots = page->slot_count;
  if (slots > LOCKHOST_MAX_SLOTS) slots = LOCKHOST_MAX_SLOTS;
  return (uint32_t)(slots < room ? slots : room);
}

/* REQUIRES: vcpu < the number of slots that lockhost_check_*_page() returned. */
static inline const struct lockhost_hint_slot* lockhost_hint_slot_at(
    const struct lockhost_hint_header* page, uint32_t vcpu) {
  return (const struct lockhost_hint_slot*)(page + 1) + vcpu;
}
static inline struct lockhost_report_slot* lockhost_report_slot_at(
    struct lockhost_report_header* page, uint32_t vcpu) {
  return (struct lockhost_report_slot*)(page + 1) + vcpu;
}

/* Whether hints count at `now_ns` (the guest's CLOCK_MONOTONIC). */
static inline int lockhost_lease_valid(const struct lockhost_pages* pages, uint64_t now_ns) {
  return pages->lease && __atomic_load_n(&pages->lease->valid_until_ns, __ATOMIC_ACQUIRE) > now_ns;
}

/*
 * True if the vCPU has run since its slot said that it does not: its report word
 * is not the one it was switched out with. See lockhost_hint_slot.witness.
 */
static inline int lockhost_hint_refuted(const struct lockhost_pages* pages, uint32_t vcpu,
                                        uint64_t witness) {
  if (witness == 0 || vcpu >= pages->report_slots) return 0;
  return __atomic_load_n(&lockhost_report_slot_at(pages->reports, vcpu)->report_word,
                         __ATOMIC_RELAXED) != witness;
}

static inline int lockhost_hints_are_direct(const struct lockhost_pages* pages) {
  return __atomic_load_n(&pages->hints->path, __ATOMIC_RELAXED) == LOCKHOST_PAGE_PATH_DIRECT_MAP;
}
static inline uint64_t lockhost_hints_sampled_every_ns(const struct lockhost_pages* pages) {
  return __atomic_load_n(&pages->hints->sampled_every_ns, __ATOMIC_RELAXED);
}

/* Whether the slots change at the switch itself, not at a look or when a message arrives. */
static inline int lockhost_hints_are_prompt(const struct lockhost_pages* pages) {
  return pages->hints && lockhost_hints_are_direct(pages) &&
         lockhost_hints_sampled_every_ns(pages) == 0;
}

/*
 * Whether a state of a sampled vCPU has been unconfirmed for too long. A direct page's writer
 * has another clock than `now_ns`: there the age is not known, and is left to the lease.
 */
static inline int lockhost_hint_outlived(const struct lockhost_pages* pages, uint64_t since_ns,
                                         uint64_t now_ns) {
  const uint64_t life_ns = 2 * lockhost_hints_sampled_every_ns(pages);
  return life_ns != 0 && !lockhost_hints_are_direct(pages) && now_ns > since_ns &&
         now_ns - since_ns > life_ns;
}

/* The lock mode that the host advises (enum lockhost_mode); UNSPECIFIED when in doubt. */
static inline uint32_t lockhost_read_mode(const struct lockhost_pages* pages, uint64_t now_ns) {
  if (!pages->hints || !lockhost_lease_valid(pages, now_ns)) return LOCKHOST_MODE_UNSPECIFIED;
  const uint32_t mode = __atomic_load_n(&pages->hints->mode, __ATOMIC_RELAXED);
  if (mode > LOCKHOST_MODE_OVERCOMMITTED) return LOCKHOST_MODE_UNSPECIFIED;
  return mode;
}

/*
 * What is known of `vcpu` at `now_ns`: an enum lockhost_run_state, UNSPECIFIED when
 * in doubt. A vCPU that is said not to run but has refuted it reads as RUNNING.
 */
static inline uint32_t lockhost_read_hint(const struct lockhost_pages* pages, uint32_t vcpu,
                                          uint64_t now_ns) {
  if (!pages->hints || vcpu >= pages->hint_slots) return LOCKHOST_RUN_STATE_UNSPECIFIED;
  if (!lockhost_lease_valid(pages, now_ns)) return LOCKHOST_RUN_STATE_UNSPECIFIED;
  const struct lockhost_hint_slot* slot = lockhost_hint_slot_at(pages->hints, vcpu);
  const uint64_t word = __atomic_load_n(&slot->state_word, __ATOMIC_ACQUIRE);
  const uint32_t state = lockhost_state_of(word);
  if (state == LOCKHOST_RUN_STATE_RUNNING) return state;
  if (state == LOCKHOST_RUN_STATE_UNSPECIFIED || state > LOCKHOST_RUN_STATE_EXITED) {
    return LOCKHOST_RUN_STATE_UNSPECIFIED;
  }
  const uint64_t witness = __atomic_load_n(&slot->witness, __ATOMIC_ACQUIRE);
  const uint64_t since_ns = __atomic_load_n(&slot->since_ns, __ATOMIC_ACQUIRE);
  if (__atomic_load_n(&slot->state_word, __ATOMIC_RELAXED) != word) {
    return LOCKHOST_RUN_STATE_UNSPECIFIED; /* changed under our eyes: look again later */
  }
  if (lockhost_hint_outlived(pages, since_ns, now_ns)) return LOCKHOST_RUN_STATE_UNSPECIFIED;
  if (lockhost_hint_refuted(pages, vcpu, witness)) return LOCKHOST_RUN_STATE_RUNNING;
  return state;
}

/*
 * What is expected of `vcpu`, of which lockhost_read_hint() has just said `state`: one that was
 * preempted, and that the host has been asked to run again at once, as good as runs.
 */
static inline uint32_t lockhost_expected_state(const struct lockhost_pages* pages, uint32_t vcpu,
                                               uint32_t state) {
  if (state != LOCKHOST_RUN_STATE_PREEMPTED) return state;
  const struct lockhost_hint_slot* slot = lockhost_hint_slot_at(pages->hints, vcpu);
  const uint64_t recalled = __atomic_load_n(&slot->recalled, __ATOMIC_RELAXED);
  if (recalled != __atomic_load_n(&slot->state_word, __ATOMIC_RELAXED)) return state;
  return LOCKHOST_RUN_STATE_RUNNING;
}

#endif /* LOCKHOST_CLIENT_PAGE_HINT_READER_H_ */
