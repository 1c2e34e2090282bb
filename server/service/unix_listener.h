// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_UNIX_LISTENER_H_
#define LOCKHOST_SERVER_SERVICE_UNIX_LISTENER_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::server {

// A listening unix socket of ours, with a bound on the connections that are open at the
// same time: gRPC has none, and one guest must not use up the process's descriptors.
// Not thread-safe.
class UnixListener {
 public:
  // Removes a stale socket file, makes a new one with `mode`. INVALID_ARGUMENT: the path
  // does not fit into a socket address.
  static absl::StatusOr<UnixListener> Open(const std::string& path, mode_t mode,
                                           size_t max_connections);
  ~UnixListener();
  UnixListener(UnixListener&&) = default;
  UnixListener& operator=(UnixListener&&) = delete;

  int fd() const { return fd_.get(); }

  // The next connection, non-blocking; -1 when there is none. It belongs to the caller,
  // and counts until it is closed. Connections above the bound are closed at once.
  int Accept();
  // Those that were accepted and not yet seen to be closed.
  size_t connections() const { return open_.size(); }
  uint64_t refused() const { return refused_; }

 private:
  struct Connection {
    int fd;
    ino_t inode;  // a number may be used again, a socket's inode not before it is gone
  };

  UnixListener(UniqueFd fd, std::string path, size_t max_connections)
      : fd_(std::move(fd)), path_(std::move(path)), max_connections_(max_connections) {}
  bool HasRoom();

  UniqueFd fd_;
  std::string path_;
  size_t max_connections_;
  std::vector<Connection> open_;
  uint64_t refused_ = 0;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_UNIX_LISTENER_H_
