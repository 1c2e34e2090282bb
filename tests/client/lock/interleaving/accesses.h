// SPDX-License-Identifier: Apache-2.0
//
// Sees every memory access of code compiled with -fsanitize=thread: the compiler turns each
// into a call, which here is not ThreadSanitizer's but ours (accesses.cc). So the very
// source of the product is explored, with no seam in it.
#ifndef LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_ACCESSES_H_
#define LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_ACCESSES_H_

#include <cstdint>

namespace lockhost::interleaving {

class AccessObserver {
 public:
  virtual ~AccessObserver() = default;

  // Before an atomic access to 32 bits.
  virtual void BeforeAtomic(const volatile uint32_t* at) = 0;
  virtual void AfterLoad(const volatile uint32_t* at, uint32_t value) = 0;
  // An atomic store or exchange that goes ahead. Returns what is stored. `order`: as of
  // std::memory_order.
  virtual uint32_t OnStore(const volatile uint32_t* at, uint32_t before, uint32_t after,
                           int order) = 0;
  // An ordinary read or write.
  virtual void OnPlainAccess(const volatile void* at) = 0;
};

// The observer of all that follows, null for none. Not thread-safe.
void Observe(AccessObserver* observer);

}  // namespace lockhost::interleaving

#endif  // LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_ACCESSES_H_
