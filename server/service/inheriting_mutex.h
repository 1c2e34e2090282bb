// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_INHERITING_MUTEX_H_
#define LOCKHOST_SERVER_SERVICE_INHERITING_MUTEX_H_

#include <pthread.h>

namespace lockhost::server {

// std::recursive_mutex, but whoever holds it while a real-time thread waits for it runs as one
// meanwhile: on a full host the waiter would otherwise wait until the holder's turn comes.
class InheritingMutex {
 public:
  InheritingMutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
  }
  ~InheritingMutex() { pthread_mutex_destroy(&mutex_); }
  InheritingMutex(const InheritingMutex&) = delete;
  InheritingMutex& operator=(const InheritingMutex&) = delete;

  // As std::lock_guard wants it.
  void lock() { pthread_mutex_lock(&mutex_); }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_INHERITING_MUTEX_H_
