// SPDX-License-Identifier: Apache-2.0
#include "server/service/peer_stream.h"

#include <sys/socket.h>

#include <cerrno>

namespace lockhost::server {

bool WouldBlock(ssize_t result) { return result < 0 && (errno == EAGAIN || errno == EINTR); }

bool SendSome(int fd, std::string* text) {
  const ssize_t sent = send(fd, text->data(), text->size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) text->erase(0, static_cast<size_t>(sent));
  return sent >= 0 || WouldBlock(sent);
}

PeerStream::Received SocketStream::Receive(std::span<char> portion) {
  const ssize_t size = recv(fd_.get(), portion.data(), portion.size(), MSG_DONTWAIT);
  if (WouldBlock(size)) return {};
  if (size <= 0) return {.over = true};
  const size_t bytes = static_cast<size_t>(size);
  return {.bytes = bytes, .more = bytes == portion.size()};
}

bool SocketStream::Send(std::string* text) { return SendSome(fd_.get(), text); }

}  // namespace lockhost::server
