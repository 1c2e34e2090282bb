// SPDX-License-Identifier: Apache-2.0
#include <oneapi/tbb/mutex.h>
#include <oneapi/tbb/queuing_mutex.h>
#include <oneapi/tbb/spin_mutex.h>

#include "tests/bench/locks/library_peers.h"
#include "tests/bench/locks/subject.h"
#include "tests/bench/locks/workloads.h"

namespace lockhost::bench {
namespace {

class TbbQueuingMutex {
 public:
  using Node = tbb::queuing_mutex::scoped_lock;
  void Lock(Node& node) { node.acquire(mutex_); }
  void Unlock(Node& node) { node.release(); }

 private:
  tbb::queuing_mutex mutex_;
};

}  // namespace

void AddTbbSubjects(std::vector<Subject>* subjects) {
  subjects->push_back({.name = "tbb::spin_mutex", .run = RunCell<BasicLockable<tbb::spin_mutex>>});
  subjects->push_back({.name = "tbb::queuing_mutex", .run = RunCell<TbbQueuingMutex>});
  subjects->push_back({.name = "tbb::mutex", .run = RunCell<BasicLockable<tbb::mutex>>});
}

}  // namespace lockhost::bench
