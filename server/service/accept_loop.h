// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_ACCEPT_LOOP_H_
#define LOCKHOST_SERVER_SERVICE_ACCEPT_LOOP_H_

#include <cstdint>
#include <map>
#include <mutex>

#include "absl/status/status.h"

namespace lockhost::server {

// Where connections come from, whatever the family. Called by the wire's thread alone.
class ConnectionSource {
 public:
  virtual int listener_fd() const = 0;
  // Takes what waits, a bounded number. Returns until when to leave the listener alone
  // (ns), 0: it may tell again at once. Must not add or remove sources.
  virtual uint64_t Accept(uint64_t now_ns) = 0;

 protected:
  ~ConnectionSource() = default;
};

// The listeners in an epoll set. One that is to be left alone is not waited for: who
// connects faster than it may waits in the kernel, and wakes nobody.
class AcceptLoop {
 public:
  explicit AcceptLoop(int epoll_fd) : epoll_fd_(epoll_fd) {}

  // Thread-safe. `source` stays until Remove() has returned.
  absl::Status Add(ConnectionSource* source);
  void Remove(ConnectionSource* source);

  // The wire's thread: something waits at `fd`. Does nothing if it is none of ours.
  void Accept(int fd, uint64_t now_ns);
  // Waits again for those whose time has come. Returns when the next one's does (ns).
  uint64_t Resume(uint64_t now_ns);

 private:
  struct Entry {
    ConnectionSource* source;
    uint64_t paused_until_ns = 0;  // 0: waited for
  };

  void Wait(int fd, bool wait);

  const int epoll_fd_;
  mutable std::mutex mutex_;
  std::map<int, Entry> sources_;  // by descriptor; guarded by mutex_
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_ACCEPT_LOOP_H_
