// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_LISTENER_H_
#define LOCKHOST_SERVER_SERVICE_LISTENER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::server {

// A listening socket of any family. Not thread-safe.
class Listener {
 public:
  // Removes a stale socket file, makes a new one with `mode`, and of `group` if one is given.
  // INVALID_ARGUMENT: the path does not fit into a socket address. PERMISSION_DENIED: only
  // root gives files to groups that it is not in.
  static absl::StatusOr<Listener> OpenUnix(const std::string& path, mode_t mode,
                                           std::optional<gid_t> group = std::nullopt);
  // For the guests of this host (and whoever else reaches it by vsock), on `port`.
  // UNIMPLEMENTED: the kernel has no AF_VSOCK.
  static absl::StatusOr<Listener> OpenVsock(uint32_t port);
  // On `address`, "ADDRESS:PORT" in figures, "[ADDRESS]:PORT" for IPv6. INVALID_ARGUMENT: it
  // is none.
  static absl::StatusOr<Listener> OpenTcp(const std::string& address);
  // One that the service manager made; its file, if any, stays. INVALID_ARGUMENT: it is no
  // listening stream socket of `family` (AF_UNIX and the like).
  static absl::StatusOr<Listener> Adopt(UniqueFd fd, int family);

  // Removes the file that it made, unless another one has taken its place.
  ~Listener();
  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = delete;

  int fd() const { return fd_.get(); }
  // The next connection, non-blocking; invalid, with errno set, when there is none.
  UniqueFd Accept();

 private:
  Listener(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;  // empty: none to remove
  ino_t inode_ = 0;   // of the file
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_LISTENER_H_
