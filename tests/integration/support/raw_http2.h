// SPDX-License-Identifier: Apache-2.0
//
// HTTP/2 written by hand, frame by frame: what a hostile guest may send. RFC 9113, and
// RFC 7541 for the headers.
#ifndef LOCKHOST_TESTS_INTEGRATION_SUPPORT_RAW_HTTP2_H_
#define LOCKHOST_TESTS_INTEGRATION_SUPPORT_RAW_HTTP2_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/unique_fd.h"

namespace lockhost {

enum class FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kWindowUpdate = 8,
  kContinuation = 9,
};
inline constexpr uint8_t kEndStream = 0x1;
inline constexpr uint8_t kEndHeaders = 0x4;

// The fixed bytes and an empty SETTINGS frame.
std::string ClientHello();
std::string Frame(FrameType type, uint8_t flags, uint32_t stream, std::string_view payload);
// A header block that opens a gRPC call of `path`.
std::string CallHeaders(std::string_view path);
// A field that is not put into the dynamic table; `value_bytes` of value.
std::string LiteralField(std::string_view name, size_t value_bytes);

// A client socket.
class RawConnection {
 public:
  explicit RawConnection(const std::string& socket_path);

  bool connected() const { return fd_.valid(); }
  // Sends as much as the socket takes at once, reading and forgetting what came unless
  // `deaf`. False: the peer has closed.
  bool Send(std::string_view bytes, bool deaf = false);
  // The peer has closed; reads and forgets what came.
  bool Closed();

 private:
  UniqueFd fd_;
  std::string unsent_;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_INTEGRATION_SUPPORT_RAW_HTTP2_H_
