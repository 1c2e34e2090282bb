// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/threads/peer.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace lockhost::guest_agent {
namespace {

constexpr int kPeerPidfd = 77;  // SO_PEERPIDFD, which older headers lack

// The process that connected itself, whatever became of its pid; -1 where the kernel is older.
int PidfdOf(int connection) {
  int fd = -1;
  socklen_t size = sizeof(fd);
  return getsockopt(connection, SOL_SOCKET, kPeerPidfd, &fd, &size) == 0 ? fd : -1;
}

// By the pid, which may have become another process' since. Of the same user it may be anything:
// that user may look into all its processes.
int PidfdByPid(pid_t pid, uid_t uid) {
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  struct stat process {};
  const bool same_user =
      stat(absl::StrCat("/proc/", pid).c_str(), &process) == 0 && process.st_uid == uid;
  return same_user ? fd.release() : -1;
}

}  // namespace

absl::StatusOr<Peer> PeerOf(int connection) {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return absl::ErrnoToStatus(errno, "ask who has connected");
  }
  if (credentials.pid <= 0) return absl::NotFoundError("the peer has no pid here");
  Peer peer = {credentials.pid, credentials.uid, UniqueFd(PidfdOf(connection))};
  if (!peer.pidfd.valid()) peer.pidfd.reset(PidfdByPid(peer.pid, peer.uid));
  if (!peer.pidfd.valid() || HasEnded(peer)) return absl::NotFoundError("the peer has ended");
  return peer;
}

bool HasEnded(const Peer& peer) {
  pollfd watched = {.fd = peer.pidfd.get(), .events = POLLIN, .revents = 0};
  return poll(&watched, 1, 0) != 0;
}

}  // namespace lockhost::guest_agent
