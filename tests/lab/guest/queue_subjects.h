// SPDX-License-Identifier: Apache-2.0
//
// Locks that serve in the order of arrival, in the shape of subjects.h: MCS, and the two that
// guest kernels have had against preempted vCPUs. Written from the published algorithms.
//
// Their waiters need not know who holds the lock; for the measurement each holder leaves its
// number, as the ticket lock does.
#ifndef LOCKHOST_TESTS_LAB_GUEST_QUEUE_SUBJECTS_H_
#define LOCKHOST_TESTS_LAB_GUEST_QUEUE_SUBJECTS_H_

#include "tests/lab/guest/subjects.h"

namespace lockhost::lab {

inline QueueNode& NodeOf(Worker& self, uint32_t vcpu) { return self.shared().queue_nodes[vcpu]; }
inline QueueNode& NodeOf(Worker& self) { return NodeOf(self, self.vcpu()); }

inline void NoteHolder(Worker& self) {
  __atomic_store_n(&self.shared().queue_holder, self.vcpu(), __ATOMIC_RELAXED);
}
inline uint32_t NotedHolder(Worker& self) {
  return __atomic_load_n(&self.shared().queue_holder, __ATOMIC_RELAXED);
}

// A guest kernel's pv_wait and pv_kick: a kick that comes before the sleep ends it, too.
inline void PvWait(Worker& self) {
  uint32_t* kicked = &NodeOf(self).kicked;
  const lockhost_waiting waiting = {.awaited_vcpu = NotedHolder(self),
                                    .believed_state = LOCKHOST_RUN_STATE_UNSPECIFIED};
  self.Wait(kicked, 0, UINT64_MAX, waiting);
  __atomic_exchange_n(kicked, 0, __ATOMIC_SEQ_CST);
}
inline void PvKick(Worker& self, uint32_t vcpu) {
  uint32_t* kicked = &NodeOf(self, vcpu).kicked;
  __atomic_store_n(kicked, 1, __ATOMIC_SEQ_CST);
  self.Kick(kicked);
}

// A queue in which each waits on a word of its own (Mellor-Crummey and Scott, 1991). Links are
// numbers of vCPUs plus 1.
struct Mcs {
  static constexpr bool kReports = false;

  static void Lock(Worker& self) {
    QueueNode& mine = NodeOf(self);
    __atomic_store_n(&mine.next, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&mine.waits, 1, __ATOMIC_RELAXED);
    const uint32_t before =
        __atomic_exchange_n(&self.shared().lock_word, self.vcpu() + 1, __ATOMIC_ACQ_REL);
    if (before != 0) {
      __atomic_store_n(&NodeOf(self, before - 1).next, self.vcpu() + 1, __ATOMIC_RELEASE);
      while (__atomic_load_n(&mine.waits, __ATOMIC_ACQUIRE)) self.Pause(NotedHolder(self));
    }
    NoteHolder(self);
  }

  static void Unlock(Worker& self) {
    uint32_t* tail = &self.shared().lock_word;
    const uint32_t* link = &NodeOf(self).next;
    uint32_t next = __atomic_load_n(link, __ATOMIC_ACQUIRE);
    if (next == 0) {
      uint32_t last = self.vcpu() + 1;
      if (__atomic_compare_exchange_n(tail, &last, 0, /*weak=*/false, __ATOMIC_RELEASE,
                                      __ATOMIC_RELAXED)) {
        return;
      }
      while ((next = __atomic_load_n(link, __ATOMIC_ACQUIRE)) == 0) self.Pause(last - 1);
    }
    __atomic_store_n(&NodeOf(self, next - 1).waits, 0, __ATOMIC_RELEASE);
  }
};

// Ticket lock whose waiters sleep after a while and are woken when their ticket is served
// (Fitzhardinge, "Paravirtualized ticket spinlocks", 2010; his bound on spinning).
struct PvTicket {
  static constexpr bool kReports = false;
  static constexpr uint32_t kSpins = 1u << 11;

  static void Lock(Worker& self) {
    SharedArea& shared = self.shared();
    const uint32_t mine = __atomic_fetch_add(&shared.ticket_next, 1, __ATOMIC_RELAXED);
    for (uint32_t spins = 1; __atomic_load_n(&shared.ticket_serving, __ATOMIC_ACQUIRE) != mine;
         ++spins) {
      if (spins % kSpins == 0) SleepFor(self, mine);
      self.Pause(NotedHolder(self));
    }
    NoteHolder(self);
  }

  static void Unlock(Worker& self) {
    SharedArea& shared = self.shared();
    const uint32_t next = shared.ticket_serving + 1;
    __atomic_store_n(&shared.ticket_serving, next, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&shared.ticket_sleepers, __ATOMIC_SEQ_CST) == 0) return;
    for (uint32_t vcpu = 0; vcpu < self.vcpus(); ++vcpu) {
      if (__atomic_load_n(&NodeOf(self, vcpu).wanted, __ATOMIC_SEQ_CST) == next + 1) {
        return PvKick(self, vcpu);
      }
    }
  }

 private:
  // Either this sees its ticket served, or the unlock sees who wants it.
  static void SleepFor(Worker& self, uint32_t ticket) {
    SharedArea& shared = self.shared();
    uint32_t* wanted = &NodeOf(self).wanted;
    __atomic_store_n(wanted, ticket + 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&shared.ticket_sleepers, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&shared.ticket_serving, __ATOMIC_SEQ_CST) != ticket) PvWait(self);
    __atomic_fetch_sub(&shared.ticket_sleepers, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(wanted, 0, __ATOMIC_SEQ_CST);
  }
};

// Linux' queued spinlock with its paravirtual slow path (Long and Zijlstra, 2015; algorithm of
// kernel/locking/qspinlock_paravirt.h). The word: bits 0-7 held (kSlow: the unlock must wake the
// head of the queue), 8-15 the head waits and none may steal, 16-31 the queue's end. Whoever
// finds the lock free while its head does not wait for it steals it.
struct PvQspinlock {
  static constexpr bool kReports = false;
  static constexpr uint32_t kSpins = 1u << 15;        // Linux' SPIN_THRESHOLD
  static constexpr uint32_t kLookAtPrevious = 0x100;  // turns between two such looks
  static constexpr uint8_t kHeld = 1, kSlow = 3;
  static constexpr uint32_t kPending = 0x100, kHeldOrPending = 0xffff, kTailShift = 16;
  enum : uint32_t { kRunning, kHalted, kHashed };  // QueueNode::state

  static void Lock(Worker& self) {
    if (!CompareAndSwap(&self.shared().lock_word, 0, kHeld) && !Steal(self)) Queue(self);
    NoteHolder(self);
  }

  static void Unlock(Worker& self) {
    uint8_t* held = Held(self);
    if (Replace(held, kHeld, 0)) return;
    const uint32_t head = __atomic_load_n(&self.shared().queue_head, __ATOMIC_RELAXED);
    __atomic_store_n(held, 0, __ATOMIC_SEQ_CST);
    PvKick(self, head);
  }

 private:
  static uint8_t* Held(Worker& self) {
    return reinterpret_cast<uint8_t*>(&self.shared().lock_word);
  }
  static uint8_t* Pending(Worker& self) { return Held(self) + 1; }
  static bool Replace(uint8_t* byte, uint8_t expected, uint8_t desired) {
    return __atomic_compare_exchange_n(byte, &expected, desired, /*weak=*/false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
  }

  // Only with a queue it is worth to look more than once.
  static bool Steal(Worker& self) {
    for (;;) {
      const uint32_t seen = __atomic_load_n(&self.shared().lock_word, __ATOMIC_RELAXED);
      if ((seen & kHeldOrPending) == 0 && Replace(Held(self), 0, kHeld)) {
        return true;
      }
      if (seen >> kTailShift == 0 || (seen & kPending) != 0) return false;
      self.Pause(NotedHolder(self));
    }
  }

  static void Queue(Worker& self) {
    QueueNode& mine = NodeOf(self);
    __atomic_store_n(&mine.next, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&mine.waits, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&mine.state, kRunning, __ATOMIC_RELAXED);
    const uint32_t tail = (self.vcpu() + 1) << kTailShift;
    uint32_t* word = &self.shared().lock_word;
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(word, &seen, (seen & kHeldOrPending) | tail,
                                        /*weak=*/false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    }
    if (const uint32_t before = seen >> kTailShift; before != 0) {
      QueueNode& previous = NodeOf(self, before - 1);
      __atomic_store_n(&previous.next, self.vcpu() + 1, __ATOMIC_RELEASE);
      AwaitHeadOfQueue(self, previous);
    }
    AwaitLock(self);
    LeaveQueue(self, tail);
  }

  // Behind one that sleeps nobody need stay awake.
  static void AwaitHeadOfQueue(Worker& self, const QueueNode& previous) {
    QueueNode& mine = NodeOf(self);
    for (;;) {
      for (uint32_t turn = 1; turn <= kSpins; ++turn) {
        if (__atomic_load_n(&mine.waits, __ATOMIC_ACQUIRE) == 0) return;
        if (turn % kLookAtPrevious == 0 &&
            __atomic_load_n(&previous.state, __ATOMIC_RELAXED) != kRunning) {
          break;
        }
        self.Pause(NotedHolder(self));
      }
      __atomic_store_n(&mine.state, kHalted, __ATOMIC_SEQ_CST);
      if (__atomic_load_n(&mine.waits, __ATOMIC_SEQ_CST) != 0) PvWait(self);
      CompareAndSwap(&mine.state, kHalted, kRunning);
    }
  }

  // At the head of the queue. Returns with the lock.
  static void AwaitLock(Worker& self) {
    QueueNode& mine = NodeOf(self);
    // Whoever made this the head may have told the holder already whom to wake.
    bool told = __atomic_load_n(&mine.state, __ATOMIC_RELAXED) == kHashed;
    for (;;) {
      __atomic_store_n(&mine.state, kRunning, __ATOMIC_RELAXED);
      if (SpinAtHead(self)) return;
      if (!told) {
        __atomic_store_n(&self.shared().queue_head, self.vcpu(), __ATOMIC_RELAXED);
        told = true;
        if (__atomic_exchange_n(Held(self), kSlow, __ATOMIC_SEQ_CST) == 0) {
          __atomic_store_n(Held(self), kHeld, __ATOMIC_RELAXED);
          return;
        }
      }
      __atomic_store_n(&mine.state, kHashed, __ATOMIC_RELAXED);
      if (__atomic_load_n(Held(self), __ATOMIC_SEQ_CST) == kSlow) PvWait(self);
    }
  }

  static bool SpinAtHead(Worker& self) {
    uint32_t* word = &self.shared().lock_word;
    __atomic_store_n(Pending(self), 1, __ATOMIC_RELAXED);
    for (uint32_t turn = 0; turn < kSpins; ++turn) {
      const uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
      if ((seen & 0xff) == 0 && CompareAndSwap(word, seen, (seen & ~kHeldOrPending) | kHeld)) {
        return true;
      }
      self.Pause(NotedHolder(self));
    }
    __atomic_store_n(Pending(self), 0, __ATOMIC_RELAXED);
    return false;
  }

  // The next becomes the head. One that sleeps goes on sleeping until the unlock.
  static void LeaveQueue(Worker& self, uint32_t tail) {
    uint32_t* word = &self.shared().lock_word;
    const uint32_t* link = &NodeOf(self).next;
    const uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    if ((seen & ~kHeldOrPending) == tail && CompareAndSwap(word, seen, seen & kHeldOrPending)) {
      return;
    }
    uint32_t next;
    while ((next = __atomic_load_n(link, __ATOMIC_ACQUIRE)) == 0) self.Pause(self.vcpu());
    QueueNode& head = NodeOf(self, next - 1);
    __atomic_store_n(&head.waits, 0, __ATOMIC_SEQ_CST);
    uint32_t halted = kHalted;
    if (!__atomic_compare_exchange_n(&head.state, &halted, kHashed, /*weak=*/false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
      return;
    }
    __atomic_store_n(&self.shared().queue_head, next - 1, __ATOMIC_RELAXED);
    __atomic_store_n(Held(self), kSlow, __ATOMIC_RELEASE);
  }
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_GUEST_QUEUE_SUBJECTS_H_
