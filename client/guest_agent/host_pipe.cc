// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/host_pipe.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lockhost::guest_agent {
namespace {

constexpr size_t kPortionBytes = 16 * 1024;  // gRPC writes no more at once, mostly
// What gRPC's timers write, a keepalive, goes out no later. Heartbeats end each wait sooner.
constexpr int kLongestWaitMs = 2'000;

bool WouldBlock(ssize_t result) { return result < 0 && (errno == EAGAIN || errno == EINTR); }

}  // namespace

std::string UnixPathOf(const std::string& target) {
  absl::string_view path = target;
  if (!absl::ConsumePrefix(&path, "unix:")) return "";
  absl::ConsumePrefix(&path, "//");
  return std::string(path);
}

absl::StatusOr<std::unique_ptr<HostPipe>> HostPipe::Connect(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("too long for a socket: ", path));
  }
  path.copy(address.sun_path, path.size());
  UniqueFd host(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!host.valid()) return absl::ErrnoToStatus(errno, "socket");
  if (connect(host.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("connect to ", path));
  }
  // From here on only who sends does not wait.
  const timeval longest = {.tv_sec = kLongestWaitMs / 1'000, .tv_usec = 0};
  if (fcntl(host.get(), F_SETFL, 0) != 0 ||
      setsockopt(host.get(), SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof(longest)) != 0) {
    return absl::ErrnoToStatus(errno, "set up a socket");
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ErrnoToStatus(errno, "socketpair");
  }
  return std::unique_ptr<HostPipe>(
      new HostPipe(std::move(host), UniqueFd(ends[0]), UniqueFd(ends[1])));
}

HostPipe::HostPipe(UniqueFd host, UniqueFd pipe, UniqueFd grpc_end)
    : host_(std::move(host)), pipe_(std::move(pipe)), grpc_end_(std::move(grpc_end)) {}

std::string_view HostPipe::Receive() {
  bool blocked;
  {
    const std::lock_guard lock(mutex_);
    blocked = !unsent_.empty();
  }
  // Mostly there is one system call from the host's word to the page.
  if (blocked) {
    pollfd wait = {.fd = host_.get(), .events = POLLIN | POLLOUT, .revents = 0};
    poll(&wait, 1, kLongestWaitMs);
  }
  const ssize_t size =
      recv(host_.get(), portion_.data(), portion_.size(), blocked ? MSG_DONTWAIT : 0);
  over_ = size == 0 || (size < 0 && !WouldBlock(size));
  const std::string_view bytes(portion_.data(), static_cast<size_t>(std::max<ssize_t>(size, 0)));
  kept_.append(bytes);
  return bytes;
}

void HostPipe::Give() {
  if (!kept_.empty()) {
    const ssize_t sent = send(pipe_.get(), kept_.data(), kept_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) kept_.erase(0, static_cast<size_t>(sent));
    // gRPC has closed its end, and says by itself why.
    if (sent < 0 && !WouldBlock(sent)) kept_.clear();
  }
  if (over_ && kept_.empty()) shutdown(pipe_.get(), SHUT_WR);
}

bool HostPipe::HasTakenIn() const {
  int unread = 0;
  return kept_.empty() && (ioctl(pipe_.get(), SIOCOUTQ, &unread) != 0 || unread == 0);
}

void HostPipe::SendOut() {
  const std::lock_guard lock(mutex_);
  for (;;) {
    if (unsent_.empty()) {
      char portion[kPortionBytes];
      const ssize_t size = recv(pipe_.get(), portion, sizeof(portion), MSG_DONTWAIT);
      if (size <= 0) return;
      unsent_.assign(portion, static_cast<size_t>(size));
    }
    const ssize_t sent =
        send(host_.get(), unsent_.data(), unsent_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    // A host that has closed shows in Receive().
    if (sent <= 0) return;
    unsent_.erase(0, static_cast<size_t>(sent));
  }
}

void HostPipe::Hang() { shutdown(host_.get(), SHUT_RDWR); }

}  // namespace lockhost::guest_agent
