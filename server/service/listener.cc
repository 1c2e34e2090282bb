// SPDX-License-Identifier: Apache-2.0
#include "server/service/listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
// After sys/socket.h, which it needs.
#include <linux/vm_sockets.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace lockhost::server {
namespace {

// A guest's connections wait here while its listener is left alone; more are turned away by
// the kernel.
constexpr int kBacklog = 16;
// All guests share those of vsock and TLS.
constexpr int kSharedBacklog = 256;

absl::StatusOr<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is too long for a unix socket"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

// "ADDRESS:PORT", with IPv6 addresses in brackets.
absl::StatusOr<Addresses> ParseTcpAddress(const std::string& text) {
  const absl::Status bad =
      absl::InvalidArgumentError(absl::StrCat("'", text, "' is no ADDRESS:PORT in figures"));
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return bad;
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed != (host.find(':') != std::string::npos)) return bad;
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = text.substr(colon + 1);
  uint32_t number = 0;  // of which getaddrinfo() would cut off what is too much
  if (!absl::SimpleAtoi(port, &number) || number > UINT16_MAX) return bad;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return bad;
  return Addresses(found, freeaddrinfo);
}

absl::StatusOr<int> Option(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof(value);
  if (getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0) return value;
  return absl::ErrnoToStatus(errno, "inherited socket");
}

}  // namespace

absl::StatusOr<Listener> Listener::OpenUnix(const std::string& path, mode_t mode,
                                            std::optional<gid_t> group) {
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
  Listener listener(std::move(fd), path);
  if (group.has_value() && chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("give ", path, " to its group"));
  }
  struct stat made;
  if (chmod(path.c_str(), mode) != 0 || stat(path.c_str(), &made) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("set the mode of ", path));
  }
  listener.inode_ = made.st_ino;
  // Only now can anybody connect, with the mode in place.
  if (listen(listener.fd(), kBacklog) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("listen on ", path));
  }
  return listener;
}

absl::StatusOr<Listener> Listener::OpenVsock(uint32_t port) {
  UniqueFd fd(socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid() && errno == EAFNOSUPPORT) {
    return absl::UnimplementedError(
        "this kernel has no AF_VSOCK (module vsock and, for guests, vhost_vsock)");
  }
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "make a vsock socket");
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = port;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd.get(), kSharedBacklog) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("listen on vsock port ", port));
  }
  return Listener(std::move(fd), "");
}

absl::StatusOr<Listener> Listener::OpenTcp(const std::string& address) {
  const absl::StatusOr<Addresses> parsed = ParseTcpAddress(address);
  if (!parsed.ok()) return parsed.status();
  const addrinfo& at = **parsed;
  UniqueFd fd(socket(at.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "make a TCP socket");
  // Or a restart would have to wait for the connections of the one before.
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd.get(), at.ai_addr, at.ai_addrlen) != 0 || listen(fd.get(), kSharedBacklog) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("listen on ", address));
  }
  return Listener(std::move(fd), "");
}

absl::StatusOr<Listener> Listener::Adopt(UniqueFd fd, int family) {
  for (const auto& [name, expected] :
       {std::pair{SO_DOMAIN, family}, {SO_TYPE, int{SOCK_STREAM}}, {SO_ACCEPTCONN, 1}}) {
    const absl::StatusOr<int> value = Option(fd.get(), name);
    if (!value.ok()) return value.status();
    if (*value != expected) {
      return absl::InvalidArgumentError(absl::StrCat("inherited socket: no listening ",
                                                     family == AF_UNIX ? "unix" : "vsock",
                                                     " stream socket"));
    }
  }
  const int flags = fcntl(fd.get(), F_GETFL);
  if (fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0 ||
      fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "inherited socket");
  }
  return Listener(std::move(fd), "");
}

Listener::~Listener() {
  if (!fd_.valid() || path_.empty()) return;
  struct stat now;
  if (stat(path_.c_str(), &now) == 0 && now.st_ino == inode_) unlink(path_.c_str());
}

UniqueFd Listener::Accept() {
  return UniqueFd(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

}  // namespace lockhost::server
