// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <ctime>

#include "client/lock/attach.h"

namespace lockhost::lock {
namespace {

constexpr int kPages = 2;  // the hint page, then the report page
constexpr timeval kPatience = {.tv_sec = 0, .tv_usec = 100'000};

int ConnectTo(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof(address.sun_path)) return -1;
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

// What the kernel could not fit in was closed by it.
int Descriptors(msghdr* message, int* fds) {
  int count = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const auto got = static_cast<int>((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < got; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(part) + static_cast<size_t>(i) * sizeof(int), sizeof(int));
      if (count < kPages) {
        fds[count++] = fd;
      } else {
        close(fd);
      }
    }
  }
  return count;
}

}  // namespace

bool ReceivePages(const char* socket_path, int* hint_fd, int* report_fd) {
  const int connection = ConnectTo(socket_path);
  if (connection < 0) return false;
  char version = 0;
  iovec text = {.iov_base = &version, .iov_len = sizeof(version)};
  alignas(cmsghdr) char control[CMSG_SPACE(kPages * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const bool heard = recvmsg(connection, &message, MSG_CMSG_CLOEXEC) == sizeof(version);
  close(connection);
  int fds[kPages] = {-1, -1};
  const int count = heard ? Descriptors(&message, fds) : 0;
  if (count == kPages && version == LOCKHOST_PAGE_ABI_VERSION) {
    *hint_fd = fds[0];
    *report_fd = fds[1];
    return true;
  }
  for (int i = 0; i < count; ++i) close(fds[i]);
  return false;
}

}  // namespace lockhost::lock
