// SPDX-License-Identifier: Apache-2.0
#include "agent/channel/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lockhost::agent {
namespace {

constexpr int kBacklog = 64;

UniqueFd MakeSocket() {
  return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

bool SomebodyListens(const sockaddr_un& address) {
  const UniqueFd probe = MakeSocket();
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return true;
  }
  return errno == EAGAIN;  // its backlog is full
}

}  // namespace

absl::StatusOr<UniqueFd> ListenAt(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("socket path of a wrong length: ", path));
  }
  std::copy(path.begin(), path.end(), address.sun_path);
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) mkdir(path.substr(0, slash).c_str(), 0755);
  if (SomebodyListens(address)) {
    return absl::AlreadyExistsError(absl::StrCat("another agent listens at ", path));
  }
  struct stat status;
  if (lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) unlink(path.c_str());
  UniqueFd listener = MakeSocket();
  if (!listener.valid()) return absl::ErrnoToStatus(errno, "make a socket");
  if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("bind ", path));
  }
  if (chmod(path.c_str(), 0666) != 0 || listen(listener.get(), kBacklog) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("listen at ", path));
  }
  return listener;
}

}  // namespace lockhost::agent
