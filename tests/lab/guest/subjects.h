// SPDX-License-Identifier: Apache-2.0
//
// The locks that are compared. Each is Lock(Worker&) and Unlock(Worker&), and tells
// the worker whom it waits for while it does. `kReports`: writes its report word itself.
#ifndef LOCKHOST_TESTS_LAB_GUEST_SUBJECTS_H_
#define LOCKHOST_TESTS_LAB_GUEST_SUBJECTS_H_

#include "client/lock/spin_core.h"
#include "tests/lab/guest/worker.h"

namespace lockhost::lab {

inline bool CompareAndSwap(uint32_t* word, uint32_t expected, uint32_t desired) {
  return __atomic_compare_exchange_n(word, &expected, desired, /*weak=*/false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

// Spins until the word is free, then tries. Stores the holder's vCPU + 1.
struct TestAndSet {
  static constexpr bool kReports = false;
  static void Lock(Worker& self) {
    uint32_t* word = &self.shared().lock_word;
    while (!CompareAndSwap(word, 0, self.vcpu() + 1)) {
      while (const uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED)) self.Pause(seen - 1);
    }
  }
  static void Unlock(Worker& self) {
    __atomic_store_n(&self.shared().lock_word, 0, __ATOMIC_RELEASE);
  }
};

// First come, first served (Mellor-Crummey and Scott, 1991). Waits for whoever drew
// the ticket that is being served, whether it has noticed or not.
struct Ticket {
  static constexpr bool kReports = false;
  static void Lock(Worker& self) {
    SharedArea& shared = self.shared();
    const uint32_t mine = __atomic_fetch_add(&shared.ticket_next, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&shared.ticket_vcpu[mine % kTicketRing], self.vcpu(), __ATOMIC_RELAXED);
    for (;;) {
      const uint32_t serving = __atomic_load_n(&shared.ticket_serving, __ATOMIC_ACQUIRE);
      if (serving == mine) return;
      self.Pause(__atomic_load_n(&shared.ticket_vcpu[serving % kTicketRing], __ATOMIC_RELAXED));
    }
  }
  static void Unlock(Worker& self) {
    uint32_t* serving = &self.shared().ticket_serving;
    __atomic_store_n(serving, *serving + 1, __ATOMIC_RELEASE);
  }
};

// Three-state futex mutex (Drepper, "Futexes Are Tricky"): 100 turns of spinning, then
// sleep. The word is the holder's vCPU + 1, bit 31 says that somebody may sleep.
struct SpinThenFutex {
  static constexpr bool kReports = false;
  static constexpr uint32_t kSleepers = 1u << 31;
  static constexpr uint32_t kSpins = 100;

  static void Lock(Worker& self) {
    uint32_t* word = &self.shared().lock_word;
    const uint32_t me = self.vcpu() + 1;
    if (CompareAndSwap(word, 0, me)) return;
    uint32_t sleepers = 0;
    for (uint32_t spins = 0;;) {
      uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
      if ((seen & ~kSleepers) == 0) {
        if (CompareAndSwap(word, seen, me | seen | sleepers)) return;
        continue;
      }
      const uint32_t holder = (seen & ~kSleepers) - 1;
      if (++spins <= kSpins) {
        self.Pause(holder);
        continue;
      }
      if (!(seen & kSleepers) && !CompareAndSwap(word, seen, seen | kSleepers)) continue;
      const lockhost_waiting waiting = {.awaited_vcpu = holder,
                                        .believed_state = LOCKHOST_RUN_STATE_UNSPECIFIED};
      self.Wait(word, seen | kSleepers, UINT64_MAX, waiting);
      sleepers = kSleepers;
      spins = 0;
    }
  }
  static void Unlock(Worker& self) {
    uint32_t* word = &self.shared().lock_word;
    if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) & kSleepers) self.Kick(word);
  }
};

// The library's own lock; which pages it sees is the run's affair.
struct Lockhost {
  static constexpr bool kReports = true;
  static void Lock(Worker& self) { lockhost_core_lock(&self.env(), &self.shared().lock_word); }
  static void Unlock(Worker& self) { lockhost_core_unlock(&self.env(), &self.shared().lock_word); }
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_GUEST_SUBJECTS_H_
