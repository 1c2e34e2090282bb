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

// Receives one message: its text, as far as there is room, and at most `room` descriptors, which
// are the caller's. Returns the bytes of text; *count is set in any case.
ssize_t Receive(int connection, void* text, size_t bytes, int* fds, int room, int* count) {
  iovec part_of_text = {.iov_base = text, .iov_len = bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(kPages * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part_of_text;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  *count = 0;
  const ssize_t got = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
  if (got < 0) return got;
  // What the kernel could not fit in was closed by it.
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < here; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      if (*count < room) {
        fds[(*count)++] = fd;
      } else {
        close(fd);
      }
    }
  }
  return got;
}

bool ReceiveBoth(int connection, AgentAnswer* answer) {
  char words[2] = {0, LOCKHOST_THREADS_UNKNOWN};  // the version, and what of threads
  int fds[kPages] = {-1, -1};
  int count = 0;
  const ssize_t got = Receive(connection, words, sizeof(words), fds, kPages, &count);
  if (got >= 1 && count == kPages && words[0] == LOCKHOST_PAGE_ABI_VERSION) {
    answer->hint_fd = fds[0];
    answer->report_fd = fds[1];
    const bool known = words[1] >= 0 && words[1] <= LOCKHOST_THREADS_REFUSED;
    if (known) answer->threads.offer = static_cast<lockhost_threads_offer>(words[1]);
    return true;
  }
  for (int i = 0; i < count; ++i) close(fds[i]);
  return false;
}

void AskForThreads(int connection, int64_t number_offset, AgentAnswer* answer) {
  const lockhost_thread_request request = {.magic = LOCKHOST_THREAD_REQUEST_MAGIC,
                                           .abi_version = LOCKHOST_PAGE_ABI_VERSION,
                                           .number_offset = number_offset,
                                           .reserved = {}};
  if (send(connection, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request)) return;
  lockhost_thread_reply reply = {};
  int count = 0;
  const ssize_t got =
      Receive(connection, &reply, sizeof(reply), &answer->thread_fd, /*room=*/1, &count);
  if (got != sizeof(reply) || reply.result >= LOCKHOST_THREAD_RESULT_COUNT) return;
  answer->threads.result = static_cast<lockhost_thread_result>(reply.result);
}

}  // namespace

bool ReceivePages(const char* socket_path, const int64_t* number_offset, AgentAnswer* answer) {
  *answer = {};
  const int connection = ConnectTo(socket_path);
  if (connection < 0) return false;
  const bool received = ReceiveBoth(connection, answer);
  if (received && number_offset != nullptr && answer->threads.offer == LOCKHOST_THREADS_ON) {
    AskForThreads(connection, *number_offset, answer);
  }
  close(connection);
  return received;
}

bool ReceivePages(const char* socket_path, int* hint_fd, int* report_fd) {
  AgentAnswer answer;
  if (!ReceivePages(socket_path, nullptr, &answer)) return false;
  *hint_fd = answer.hint_fd;
  *report_fd = answer.report_fd;
  return true;
}

}  // namespace lockhost::lock
