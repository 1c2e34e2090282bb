// SPDX-License-Identifier: Apache-2.0
#include "server/service/short_way.h"

#include <algorithm>
#include <utility>

namespace lockhost::server {
namespace {

using http2::FrameCutter;

constexpr size_t kMagicBytes = 24;
constexpr uint32_t kUpdateBytes = 4;
constexpr uint16_t kInitialWindowSize = 4;  // RFC 9113, section 6.5.2
constexpr uint32_t kMostWindow = 0x7fffffff;

bool IsWindowUpdate(const http2::FrameHeader& frame) {
  return frame.type == http2::kWindowUpdate && frame.length == kUpdateBytes;
}

}  // namespace

uint32_t ShortWay::Window::Grant(uint32_t size) {
  const int64_t spare = grpc + size - kLeftToGrpc;
  const int64_t kept = std::clamp<int64_t>(std::min(spare, kMostWithheld - withheld), 0, size);
  withheld += kept;
  grpc += size - kept;
  return static_cast<uint32_t>(size - kept);
}

ShortWay::Stream* ShortWay::Find(uint32_t stream_id) {
  const auto found = std::find_if(streams_.begin(), streams_.end(),
                                  [stream_id](const auto& each) { return each.id == stream_id; });
  return found == streams_.end() ? nullptr : &*found;
}

void ShortWay::Forget(uint32_t stream_id) {
  std::erase_if(streams_, [stream_id](const Stream& each) { return each.id == stream_id; });
}

void ShortWay::TakeIn(std::string_view bytes, std::string* for_grpc) {
  TakeMagic(&bytes, for_grpc);
  while (const auto piece = in_.Next(&bytes)) TakePiece(*piece, for_grpc);
}

void ShortWay::TakeMagic(std::string_view* bytes, std::string* for_grpc) {
  const size_t size = std::min(bytes->size(), kMagicBytes - magic_seen_);
  for_grpc->append(bytes->substr(0, size));
  bytes->remove_prefix(size);
  magic_seen_ += size;
}

void ShortWay::TakePiece(const FrameCutter::Piece& piece, std::string* for_grpc) {
  if (IsWindowUpdate(piece.frame)) {
    update_.append(piece.bytes);
    if (piece.ends_frame) TakeWindowUpdate(for_grpc);
    return;
  }
  if (piece.frame.type == http2::kSettings) TakeSettings(piece);
  if (piece.frame.type == http2::kResetStream && piece.header) Forget(piece.frame.stream_id);
  for_grpc->append(piece.bytes);
}

void ShortWay::TakeSettings(const FrameCutter::Piece& piece) {
  if (piece.header) {
    setting_seen_ = 0;
    return;
  }
  for (const char byte : piece.bytes) {
    setting_[setting_seen_++] = byte;
    if (setting_seen_ < setting_.size()) continue;
    setting_seen_ = 0;
    const auto id = static_cast<uint16_t>(http2::ReadBig32(setting_.data()) >> 16);
    if (id != kInitialWindowSize) continue;
    first_window_ = std::min(http2::ReadBig32(setting_.data() + 2), kMostWindow);
    // It moves the windows of open streams, and they may fall below what is withheld.
    off_ |= !streams_.empty();
  }
}

void ShortWay::TakeWindowUpdate(std::string* for_grpc) {
  std::string frame = std::exchange(update_, "");
  char* const payload = frame.data() + http2::kHeaderBytes;
  const uint32_t granted = http2::ReadBig32(payload) & kMostWindow;
  const uint32_t stream_id = http2::ReadBig32(frame.data() + 5) & kMostWindow;
  Stream* const stream = stream_id == 0 ? nullptr : Find(stream_id);
  // Nothing granted is an error; gRPC says so.
  if (granted != 0 && (stream_id == 0 || stream != nullptr)) {
    const uint32_t left = (stream_id == 0 ? connection_ : stream->window).Grant(granted);
    if (left == 0) return;
    http2::WriteBig32(left, payload);
  }
  for_grpc->append(frame);
}

void ShortWay::FollowOut(std::string_view bytes) {
  while (const auto piece = out_.Next(&bytes)) {
    if (piece->frame.type == http2::kData) FollowData(*piece);
    const bool over =
        piece->frame.type == http2::kResetStream ||
        ((piece->frame.type == http2::kData || piece->frame.type == http2::kHeaders) &&
         (piece->frame.flags & http2::kEndStream) != 0);
    if (over) Forget(piece->frame.stream_id);
  }
}

void ShortWay::FollowData(const FrameCutter::Piece& piece) {
  Stream* const stream = Find(piece.frame.stream_id);
  if (piece.header) {
    connection_.grpc -= piece.frame.length;
    if (stream != nullptr) stream->window.grpc -= piece.frame.length;
    awaited_seen_ = 0;
    return;
  }
  if (stream != nullptr) stream->grpc_bytes += piece.bytes.size();
  if (stream != nullptr || awaited_.size() != piece.frame.length) return;
  if (awaited_.substr(awaited_seen_, piece.bytes.size()) != piece.bytes) {
    awaited_ = {};
    return;
  }
  awaited_seen_ += piece.bytes.size();
  if (!piece.ends_frame || streams_.size() >= kMostStreams) return;
  found_ = piece.frame.stream_id;
  awaited_ = {};
  streams_.push_back({.id = found_,
                      .window = {.grpc = int64_t{first_window_} - piece.frame.length},
                      .grpc_bytes = piece.frame.length});
}

uint32_t ShortWay::TakeFound() {
  awaited_ = {};
  return std::exchange(found_, 0);
}

bool ShortWay::Spend(uint32_t stream_id, uint32_t size, uint64_t grpc_bytes) {
  if (off_ || !out_.between_frames()) return false;
  Stream* const stream = Find(stream_id);
  if (stream == nullptr || stream->grpc_bytes != grpc_bytes) return false;
  if (connection_.withheld < size || stream->window.withheld < size) return false;
  connection_.withheld -= size;
  stream->window.withheld -= size;
  return true;
}

}  // namespace lockhost::server
