// SPDX-License-Identifier: Apache-2.0
//
// Locks that come in no package, written here to be compared with. Each has
// `Lock(Node&)` and `Unlock(Node&)`; a `Node` belongs to one thread and one lock at a time.
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_SPINNING_PEERS_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_SPINNING_PEERS_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace lockhost::bench {

struct NoNode {};

// Spins until the word is free, then tries.
class TestAndSet {
 public:
  using Node = NoNode;
  void Lock(Node&) {
    while (taken_.exchange(true, std::memory_order_acquire)) {
      while (taken_.load(std::memory_order_relaxed)) __builtin_ia32_pause();
    }
  }
  void Unlock(Node&) { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_ = false;
};

// First come, first served (Mellor-Crummey and Scott, 1991).
class Ticket {
 public:
  using Node = NoNode;
  void Lock(Node&) {
    const uint32_t mine = next_.fetch_add(1, std::memory_order_relaxed);
    while (serving_.load(std::memory_order_acquire) != mine) __builtin_ia32_pause();
  }
  void Unlock(Node&) {
    serving_.store(serving_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  std::atomic<uint32_t> next_ = 0;
  std::atomic<uint32_t> serving_ = 0;
};

// A queue in which each waits on a word of its own (Mellor-Crummey and Scott, 1991).
class Mcs {
 public:
  struct Node {
    std::atomic<Node*> next;
    std::atomic<bool> waits;
  };
  void Lock(Node& node) {
    node.next.store(nullptr, std::memory_order_relaxed);
    node.waits.store(true, std::memory_order_relaxed);
    Node* before = tail_.exchange(&node, std::memory_order_acq_rel);
    if (before == nullptr) return;
    before->next.store(&node, std::memory_order_release);
    while (node.waits.load(std::memory_order_acquire)) __builtin_ia32_pause();
  }
  void Unlock(Node& node) {
    Node* after = node.next.load(std::memory_order_acquire);
    if (after == nullptr) {
      Node* expected = &node;
      if (tail_.compare_exchange_strong(expected, nullptr, std::memory_order_release)) return;
      while ((after = node.next.load(std::memory_order_acquire)) == nullptr) {
        __builtin_ia32_pause();
      }
    }
    after->waits.store(false, std::memory_order_release);
  }

 private:
  std::atomic<Node*> tail_ = nullptr;
};

// Three-state futex mutex (Drepper, "Futexes Are Tricky", mutex 2), which looks `kSpins`
// times before it sleeps.
template <int kSpins>
class FutexMutex {
 public:
  using Node = NoNode;
  void Lock(Node&) {
    uint32_t seen = 0;
    if (word_.compare_exchange_strong(seen, 1, std::memory_order_acquire)) return;
    for (int i = 0; i < kSpins; ++i) {
      __builtin_ia32_pause();
      seen = word_.load(std::memory_order_relaxed);
      if (seen == 0 && word_.compare_exchange_strong(seen, 1, std::memory_order_acquire)) return;
    }
    while (word_.exchange(2, std::memory_order_acquire) != 0) Futex(FUTEX_WAIT_PRIVATE, 2);
  }
  void Unlock(Node&) {
    if (word_.exchange(0, std::memory_order_release) == 2) Futex(FUTEX_WAKE_PRIVATE, 1);
  }

 private:
  void Futex(int operation, uint32_t value) {
    syscall(SYS_futex, &word_, operation, value, nullptr, nullptr, 0);
  }

  std::atomic<uint32_t> word_ = 0;
};

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_SPINNING_PEERS_H_
