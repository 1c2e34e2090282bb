// SPDX-License-Identifier: Apache-2.0
#include "server/service/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::server {
namespace {

constexpr int kBacklog = 16;

absl::StatusOr<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is too long for a unix socket"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

absl::StatusOr<UnixListener> UnixListener::Open(const std::string& path, mode_t mode,
                                                size_t max_connections) {
  const absl::StatusOr<sockaddr_un> address = Address(path);
  if (!address.ok()) return address.status();
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("remove the stale ", path));
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "make a unix socket");
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("bind ", path));
  }
  UnixListener listener(std::move(fd), path, max_connections);
  if (chmod(path.c_str(), mode) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("set the mode of ", path));
  }
  // Only now can anybody connect, with the mode in place.
  if (listen(listener.fd(), kBacklog) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("listen on ", path));
  }
  return listener;
}

UnixListener::~UnixListener() {
  if (fd_.valid()) unlink(path_.c_str());
}

int UnixListener::Accept() {
  for (;;) {
    UniqueFd fd(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) return -1;
    struct stat status;
    if (!HasRoom() || fstat(fd.get(), &status) != 0) {
      ++refused_;
      continue;
    }
    open_.push_back({fd.get(), status.st_ino});
    return fd.release();
  }
}

bool UnixListener::HasRoom() {
  if (open_.size() < max_connections_) return true;
  std::erase_if(open_, [](const Connection& connection) {
    struct stat status;
    return fstat(connection.fd, &status) != 0 || status.st_ino != connection.inode;
  });
  return open_.size() < max_connections_;
}

}  // namespace lockhost::server
