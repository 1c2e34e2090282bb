// SPDX-License-Identifier: Apache-2.0
//
// The functions that GCC's -fsanitize=thread calls, after gcc/sanitizer.def. One thread
// runs them all, so that plain code does for the atomic operations.
#include "tests/client/lock/interleaving/accesses.h"

namespace lockhost::interleaving {
namespace {

AccessObserver* observer = nullptr;

uint32_t Load(const volatile uint32_t* at) {
  if (observer == nullptr) return *at;
  observer->BeforeAtomic(at);
  const uint32_t value = *at;
  observer->AfterLoad(at, value);
  return value;
}

// Replaces the value at `at` by what `change` makes of it; returns the old value.
template <typename Change>
uint32_t Replace(volatile uint32_t* at, int order, Change change) {
  if (observer != nullptr) observer->BeforeAtomic(at);
  const uint32_t before = *at;
  const uint32_t after = change(before);
  *at = observer != nullptr ? observer->OnStore(at, before, after, order) : after;
  return before;
}

void Plain(const volatile void* at) {
  if (observer != nullptr) observer->OnPlainAccess(at);
}

}  // namespace

void Observe(AccessObserver* new_observer) { observer = new_observer; }

}  // namespace lockhost::interleaving

extern "C" {

using lockhost::interleaving::Load;
using lockhost::interleaving::Plain;
using lockhost::interleaving::Replace;

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_read1(void* at) { Plain(at); }
void __tsan_read2(void* at) { Plain(at); }
void __tsan_read4(void* at) { Plain(at); }
void __tsan_read8(void* at) { Plain(at); }
void __tsan_read16(void* at) { Plain(at); }
void __tsan_write1(void* at) { Plain(at); }
void __tsan_write2(void* at) { Plain(at); }
void __tsan_write4(void* at) { Plain(at); }
void __tsan_write8(void* at) { Plain(at); }
void __tsan_write16(void* at) { Plain(at); }

// Of no lock word.
uint16_t __tsan_atomic16_load(const volatile uint16_t* at, int) { return *at; }

uint32_t __tsan_atomic32_load(const volatile uint32_t* at, int) { return Load(at); }

void __tsan_atomic32_store(volatile uint32_t* at, uint32_t value, int order) {
  Replace(at, order, [=](uint32_t) { return value; });
}

uint32_t __tsan_atomic32_exchange(volatile uint32_t* at, uint32_t value, int order) {
  return Replace(at, order, [=](uint32_t) { return value; });
}

uint32_t __tsan_atomic32_fetch_add(volatile uint32_t* at, uint32_t value, int order) {
  return Replace(at, order, [=](uint32_t before) { return before + value; });
}

uint32_t __tsan_atomic32_fetch_sub(volatile uint32_t* at, uint32_t value, int order) {
  return Replace(at, order, [=](uint32_t before) { return before - value; });
}

uint32_t __tsan_atomic32_fetch_and(volatile uint32_t* at, uint32_t value, int order) {
  return Replace(at, order, [=](uint32_t before) { return before & value; });
}

uint32_t __tsan_atomic32_fetch_or(volatile uint32_t* at, uint32_t value, int order) {
  return Replace(at, order, [=](uint32_t before) { return before | value; });
}

bool __tsan_atomic32_compare_exchange_strong(volatile uint32_t* at, uint32_t* expected,
                                             uint32_t desired, int order, int) {
  using lockhost::interleaving::observer;
  if (observer != nullptr) observer->BeforeAtomic(at);
  const uint32_t before = *at;
  if (before != *expected) {
    *expected = before;
    if (observer != nullptr) observer->AfterLoad(at, before);
    return false;
  }
  *at = observer != nullptr ? observer->OnStore(at, before, desired, order) : desired;
  return true;
}

// 64 bits: the pages' words. What order they are seen in is of no account to the lock.
uint64_t __tsan_atomic64_load(const volatile uint64_t* at, int) { return *at; }
void __tsan_atomic64_store(volatile uint64_t* at, uint64_t value, int) { *at = value; }

}  // extern "C"
