// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/support/raw_http2.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace lockhost {
namespace {

// RFC 7541, 5.1: an integer with a prefix of 7 bits, the eighth 0.
std::string Integer(size_t value) {
  std::string bytes;
  if (value < 127) return {static_cast<char>(value)};
  bytes.push_back(127);
  for (value -= 127; value >= 128; value /= 128)
    bytes.push_back(static_cast<char>(value % 128 + 128));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

std::string Text(std::string_view text) { return Integer(text.size()).append(text); }

}  // namespace

std::string ClientHello() {
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(FrameType::kSettings, 0, 0, "");
}

std::string Frame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string frame;
  for (int shift = 16; shift >= 0; shift -= 8) {
    frame.push_back(static_cast<char>(payload.size() >> shift));
  }
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (int shift = 24; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(stream >> shift));
  return frame.append(payload);
}

std::string CallHeaders(std::string_view path) {
  // Static table: 3 is ":method: POST", 6 ":scheme: http", 1 ":authority", 4 ":path",
  // 31 "content-type".
  std::string block = "\x83\x86";
  block += "\x01" + Text("localhost");
  block += "\x04" + Text(path);
  block += std::string("\x0f\x10") + Text("application/grpc");
  block += std::string(1, '\0') + Text("te") + Text("trailers");
  return block;
}

std::string LiteralField(std::string_view name, size_t value_bytes) {
  return std::string(1, '\0') + Text(name) + Text(std::string(value_bytes, 'x'));
}

RawConnection::RawConnection(const std::string& socket_path)
    : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
  if (connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fd_.reset();
}

bool RawConnection::Send(std::string_view bytes, bool deaf) {
  if (unsent_.empty()) unsent_ = bytes;  // what did not fit goes first: frames stay whole
  const ssize_t sent = send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN) return false;
  if (sent > 0) unsent_.erase(0, static_cast<size_t>(sent));
  return deaf || !Closed();
}

bool RawConnection::Closed() {
  char scratch[65536];
  for (;;) {
    const ssize_t got = recv(fd_.get(), scratch, sizeof(scratch), MSG_DONTWAIT);
    if (got > 0) continue;
    return got == 0 || errno != EAGAIN;
  }
}

}  // namespace lockhost
