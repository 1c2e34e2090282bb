// SPDX-License-Identifier: Apache-2.0
//
// Locks of libc, the C++ library and Abseil in the shape of spinning_peers.h. One that has a
// condition variable has a `Condition`, too, for the barrier.
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_LIBRARY_PEERS_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_LIBRARY_PEERS_H_

#include <pthread.h>

#include <condition_variable>
#include <mutex>

#include "absl/synchronization/mutex.h"
#include "tests/bench/locks/spinning_peers.h"

namespace lockhost::bench {

// Whatever has lock() and unlock().
template <typename T>
class BasicLockable {
 public:
  using Node = NoNode;
  void Lock(Node&) { lock_.lock(); }
  void Unlock(Node&) { lock_.unlock(); }

 private:
  T lock_;
};

template <int kType>
class PthreadMutex {
 public:
  using Node = NoNode;
  PthreadMutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, kType);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
  }
  ~PthreadMutex() { pthread_mutex_destroy(&mutex_); }
  void Lock(Node&) { pthread_mutex_lock(&mutex_); }
  void Unlock(Node&) { pthread_mutex_unlock(&mutex_); }

  class Condition {
   public:
    void Wait(PthreadMutex& mutex) { pthread_cond_wait(&condition_, &mutex.mutex_); }
    void WakeAll() { pthread_cond_broadcast(&condition_); }

   private:
    pthread_cond_t condition_ = PTHREAD_COND_INITIALIZER;
  };

 private:
  pthread_mutex_t mutex_;
};

class PthreadSpin {
 public:
  using Node = NoNode;
  PthreadSpin() { pthread_spin_init(&lock_, PTHREAD_PROCESS_PRIVATE); }
  ~PthreadSpin() { pthread_spin_destroy(&lock_); }
  void Lock(Node&) { pthread_spin_lock(&lock_); }
  void Unlock(Node&) { pthread_spin_unlock(&lock_); }

 private:
  pthread_spinlock_t lock_;
};

class StdMutex {
 public:
  using Node = NoNode;
  void Lock(Node&) { mutex_.lock(); }
  void Unlock(Node&) { mutex_.unlock(); }

  class Condition {
   public:
    void Wait(StdMutex& mutex) {
      std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
      condition_.wait(held);  // NOLINT(bugprone-spuriously-wake-up-functions): the caller loops
      held.release();
    }
    void WakeAll() { condition_.notify_all(); }

   private:
    std::condition_variable condition_;
  };

 private:
  std::mutex mutex_;
};

class AbslMutex {
 public:
  using Node = NoNode;
  void Lock(Node&) { mutex_.Lock(); }
  void Unlock(Node&) { mutex_.Unlock(); }

  class Condition {
   public:
    void Wait(AbslMutex& mutex) { condition_.Wait(&mutex.mutex_); }
    void WakeAll() { condition_.SignalAll(); }

   private:
    absl::CondVar condition_;
  };

 private:
  absl::Mutex mutex_;
};

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_LIBRARY_PEERS_H_
