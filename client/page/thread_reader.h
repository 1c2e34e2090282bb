/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a thread page as every reader must: any doubt is "not known". As hint_reader.h: pure
 * functions over mapped pages, and no value of a page is used as an index, a size or a pointer
 * unchecked.
 */
#ifndef LOCKHOST_CLIENT_PAGE_THREAD_READER_H_
#define LOCKHOST_CLIENT_PAGE_THREAD_READER_H_

#include "client/page/thread_page.h"

#define LOCKHOST_UNKNOWN_CPU UINT32_MAX

/* A process' thread page as checked once, when it was attached. A zeroed struct: none. */
struct lockhost_threads {
  const struct lockhost_hint_header* lease; /* the guest agent's page: threads_valid_until_ns */
  const struct lockhost_thread_header* page;
  uint64_t generation; /* of the page, a copy */
  uint32_t slot_count; /* 0: no thread page any more; may become so at any moment */
  /* KVM id of each CPU of the guest, `cpu_count` of them; relaxed atomic loads. */
  const uint16_t* vcpu_of_cpu;
  uint32_t cpu_count;
};

/* What is known of a thread. */
struct lockhost_thread_view {
  uint32_t state; /* enum lockhost_thread_state */
  uint32_t vcpu;  /* KVM id of the vCPU it runs or last ran on; LOCKHOST_UNKNOWN_CPU: not known */
};

/*
 * How many slots of a thread page of `bytes` mapped bytes may be read; 0 if it is no thread page
 * of this ABI version.
 */
static inline uint32_t lockhost_check_thread_page(const struct lockhost_thread_header* page,
                                                  uint64_t bytes) {
  if (!page || bytes < sizeof(*page)) return 0;
  if (__atomic_load_n(&page->magic, __ATOMIC_ACQUIRE) != LOCKHOST_THREAD_PAGE_MAGIC) return 0;
  if (page->abi_version != LOCKHOST_PAGE_ABI_VERSION) return 0;
  if (page->header_size != sizeof(struct lockhost_thread_header)) return 0;
  if (page->slot_stride != sizeof(struct lockhost_thread_slot)) return 0;
  if (page->generation == 0) return 0;
  const uint64_t room = (bytes - sizeof(*page)) / sizeof(struct lockhost_thread_slot);
  uint64_t slots = page->slot_count;
  if (slots > LOCKHOST_MAX_THREAD_SLOTS) slots = LOCKHOST_MAX_THREAD_SLOTS;
  return (uint32_t)(slots < room ? slots : room);
}

/* The slots that lock words may name now; 0: they name vCPUs. */
static inline uint32_t lockhost_thread_slots(const struct lockhost_threads* threads) {
  return threads ? __atomic_load_n(&threads->slot_count, __ATOMIC_ACQUIRE) : 0;
}

/* Whether the agent that writes the page is still the one that made it. */
static inline int lockhost_threads_are_written(const struct lockhost_threads* threads) {
  return __atomic_load_n(&threads->lease->threads_generation, __ATOMIC_RELAXED) ==
         threads->generation;
}

/* Whether the page counts at `now_ns` (the guest's CLOCK_MONOTONIC). REQUIRES: there is one. */
static inline int lockhost_threads_valid(const struct lockhost_threads* threads, uint64_t now_ns) {
  return __atomic_load_n(&threads->lease->threads_valid_until_ns, __ATOMIC_ACQUIRE) > now_ns &&
         lockhost_threads_are_written(threads);
}

static inline uint32_t lockhost_vcpu_of_cpu(const struct lockhost_threads* threads, uint32_t cpu) {
  if (cpu >= threads->cpu_count) return LOCKHOST_UNKNOWN_CPU;
  return __atomic_load_n(&threads->vcpu_of_cpu[cpu], __ATOMIC_RELAXED);
}

/* What is known at `now_ns` of the thread with `slot`, which may be any number. */
static inline struct lockhost_thread_view lockhost_read_thread(
    const struct lockhost_threads* threads, uint32_t slot, uint64_t now_ns) {
  struct lockhost_thread_view view = {LOCKHOST_THREAD_STATE_UNSPECIFIED, LOCKHOST_UNKNOWN_CPU};
  if (slot >= lockhost_thread_slots(threads) || !lockhost_threads_valid(threads, now_ns)) {
    return view;
  }
  const struct lockhost_thread_slot* place =
      (const struct lockhost_thread_slot*)(threads->page + 1) + slot;
  const uint64_t word = __atomic_load_n(&place->state_word, __ATOMIC_ACQUIRE);
  const uint32_t state = lockhost_thread_state_of(word);
  if (state == LOCKHOST_THREAD_STATE_UNSPECIFIED || state > LOCKHOST_THREAD_STATE_ASLEEP) {
    return view;
  }
  view.state = state;
  view.vcpu = lockhost_vcpu_of_cpu(threads, lockhost_thread_cpu_of(word));
  return view;
}

#endif /* LOCKHOST_CLIENT_PAGE_THREAD_READER_H_ */
