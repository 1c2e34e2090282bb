// SPDX-License-Identifier: Apache-2.0
#include "client/lock/thread_slots.h"

#include <pthread.h>

#include "client/lock/process.h"

namespace lockhost::lock {
namespace {

constexpr uint32_t kBits = 32;
constexpr uint32_t kWords = LOCKHOST_MAX_THREAD_SLOTS / kBits;
// Keys below this are kept in the thread itself by glibc; for others it allocates.
constexpr pthread_key_t kKeysInPlace = 32;

uint32_t taken[kWords];   // a bit a slot
uint32_t first_word = 0;  // where to look first
bool watches_ends = false;
pthread_key_t end_key;

// The number goes first: the scheduler must not write the slot of its next thread in its name.
void OnThreadEnd(void*) {
  ThreadState& thread = this_thread;
  const uint32_t number = thread.self.number;
  if (number == 0) return;
  __atomic_store_n(&thread.self.number, 0, __ATOMIC_RELEASE);
  thread.place = kNowhere;  // destructors that still come may lock
  const uint32_t slot = number - 1;
  __atomic_fetch_and(&taken[slot / kBits], ~(1u << slot % kBits), __ATOMIC_RELEASE);
}

// Where the library goes (dlclose) before its threads do.
[[gnu::destructor]] void ForgetThreadEnds() {
  if (watches_ends) pthread_key_delete(end_key);
}

// A free slot of the word, or kBits.
uint32_t TakeOf(uint32_t& word) {
  uint32_t seen = __atomic_load_n(&word, __ATOMIC_RELAXED);
  while (~seen != 0) {
    const auto bit = static_cast<uint32_t>(__builtin_ctz(~seen));
    if (__atomic_compare_exchange_n(&word, &seen, seen | 1u << bit, /*weak=*/true, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      return bit;
    }
  }
  return kBits;
}

}  // namespace

int64_t NumberOffset() {
  return reinterpret_cast<const char*>(&this_thread.self.number) -
         static_cast<const char*>(__builtin_thread_pointer());
}

void WatchThreadEnds() {
  if (pthread_key_create(&end_key, OnThreadEnd) != 0) return;
  watches_ends = end_key < kKeysInPlace;
  if (!watches_ends) pthread_key_delete(end_key);
}

uint32_t TakeThreadNumber() {
  const uint32_t first = __atomic_load_n(&first_word, __ATOMIC_RELAXED);
  for (uint32_t i = 0; i < kWords; ++i) {
    const uint32_t at = (first + i) % kWords;
    const uint32_t bit = TakeOf(taken[at]);
    if (bit == kBits) continue;
    if (i != 0) __atomic_store_n(&first_word, at, __ATOMIC_RELAXED);
    if (watches_ends) pthread_setspecific(end_key, &this_thread);
    return at * kBits + bit + 1;
  }
  return 0;
}

// Not by __builtin_popcount, which may be a function of libgcc's shared library.
size_t ThreadSlotsTaken() {
  size_t count = 0;
  for (uint32_t slot = 0; slot < LOCKHOST_MAX_THREAD_SLOTS; ++slot) {
    count += __atomic_load_n(&taken[slot / kBits], __ATOMIC_RELAXED) >> slot % kBits & 1;
  }
  return count;
}

}  // namespace lockhost::lock
