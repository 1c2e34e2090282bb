// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_LOCKS_LOCKHOST_SUBJECTS_H_
#define LOCKHOST_TESTS_BENCH_LOCKS_LOCKHOST_SUBJECTS_H_

#include <vector>

#include "client/lock/mutex.h"
#include "tests/bench/locks/library_peers.h"
#include "tests/bench/locks/subject.h"

namespace lockhost::bench {

class LockhostMutex {
 public:
  using Node = NoNode;
  void Lock(Node&) { mutex_.lock(); }
  void Unlock(Node&) { mutex_.unlock(); }

  class Condition {
   public:
    void Wait(LockhostMutex& mutex) {
      lockhost_cond_wait(&condition_, mutex.mutex_.native_handle());
    }
    void WakeAll() { lockhost_cond_broadcast(&condition_); }

   private:
    lockhost_cond_t condition_ = LOCKHOST_COND_INITIALIZER;
  };

 private:
  Mutex mutex_;
};

// The locks again, where the guest agent tells which threads run.
void AddThreadSubjects(std::vector<Subject>* subjects);

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_LOCKS_LOCKHOST_SUBJECTS_H_
