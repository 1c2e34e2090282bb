// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_COMMON_HTTP2_FRAMES_H_
#define LOCKHOST_COMMON_HTTP2_FRAMES_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lockhost::http2 {

// RFC 9113, section 6.
enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kResetStream = 3,
  kSettings = 4,
  kWindowUpdate = 8,
  kContinuation = 9,
};
inline constexpr uint8_t kEndStream = 0x1;
inline constexpr uint8_t kAcknowledge = 0x1;  // of SETTINGS
inline constexpr uint8_t kPadded = 0x8;
inline constexpr size_t kHeaderBytes = 9;
inline constexpr uint32_t kLargestFrame = 16'384;  // where nobody has allowed more
inline constexpr uint32_t kFirstWindow = 65'535;   // of a connection, and of a stream

struct FrameHeader {
  uint32_t length = 0;
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream_id = 0;
};

inline uint32_t ReadBig32(const char* bytes) {
  const auto at = [bytes](int i) { return uint32_t{static_cast<uint8_t>(bytes[i])}; };
  return at(0) << 24 | at(1) << 16 | at(2) << 8 | at(3);
}

inline void WriteBig32(uint32_t value, char* bytes) {
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<char>(value >> (24 - 8 * i));
}

inline void WriteHeader(const FrameHeader& frame, char* bytes) {
  WriteBig32(frame.length << 8 | frame.type, bytes);
  bytes[4] = static_cast<char>(frame.flags);
  WriteBig32(frame.stream_id, bytes + 5);
}

// Cuts bytes, as they come, at the frames' borders. Looks at nothing else. Pure, constant memory.
class FrameCutter {
 public:
  struct Piece {
    bool header = false;      // `bytes` are a frame's header; otherwise part of its payload
    FrameHeader frame;        // in either case
    std::string_view bytes;   // a header's are good until the next call
    bool ends_frame = false;  // nothing of the frame is left
  };

  // Takes the next piece off `bytes`; nullopt when they are used up.
  std::optional<Piece> Next(std::string_view* bytes) {
    if (left_ > 0) return NextOfPayload(bytes);
    const size_t size = std::min(kHeaderBytes - seen_, bytes->size());
    std::copy_n(bytes->data(), size, header_.data() + seen_);
    bytes->remove_prefix(size);
    seen_ += size;
    if (seen_ < kHeaderBytes) return std::nullopt;
    seen_ = 0;
    frame_ = {.length = ReadBig32(header_.data()) >> 8,
              .type = static_cast<uint8_t>(header_[3]),
              .flags = static_cast<uint8_t>(header_[4]),
              .stream_id = ReadBig32(header_.data() + 5) & 0x7fffffff};
    left_ = frame_.length;
    return Piece{true, frame_, std::string_view(header_.data(), kHeaderBytes), left_ == 0};
  }

  bool between_frames() const { return left_ == 0 && seen_ == 0; }

 private:
  std::optional<Piece> NextOfPayload(std::string_view* bytes) {
    if (bytes->empty()) return std::nullopt;
    const std::string_view part = bytes->substr(0, left_);
    bytes->remove_prefix(part.size());
    left_ -= static_cast<uint32_t>(part.size());
    return Piece{false, frame_, part, left_ == 0};
  }

  std::array<char, kHeaderBytes> header_{};
  size_t seen_ = 0;  // of a header
  FrameHeader frame_;
  uint32_t left_ = 0;  // of its payload
};

}  // namespace lockhost::http2

#endif  // LOCKHOST_COMMON_HTTP2_FRAMES_H_
