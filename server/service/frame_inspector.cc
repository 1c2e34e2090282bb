// SPDX-License-Identifier: Apache-2.0
#include "server/service/frame_inspector.h"

#include <algorithm>

namespace lockhost::server {
namespace {

constexpr std::string_view kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// RFC 9113, section 4.2: what we have not allowed to be more.
constexpr uint32_t kMaxFrameBytes = 16'384;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kWindowUpdate = 8;
constexpr uint8_t kContinuation = 9;
constexpr uint8_t kEndHeaders = 0x4;
constexpr uint32_t kAnswersEach = 2;    // to something sent
constexpr uint32_t kMostAnswers = 200;  // so that nobody saves them up for a flood

}  // namespace

std::optional<Refusal> FrameInspector::Take(std::string_view bytes, uint64_t now_ns) {
  if (!budget_->bytes.Take(now_ns, static_cast<uint32_t>(bytes.size()))) return Refusal::kFlood;
  if (auto refusal = TakeMagic(&bytes)) return refusal;
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const size_t skipped = std::min<size_t>(payload_left_, bytes.size());
      payload_left_ -= static_cast<uint32_t>(skipped);
      bytes.remove_prefix(skipped);
      continue;
    }
    header_[header_seen_++] = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    if (header_seen_ < header_.size()) continue;
    header_seen_ = 0;
    if (auto refusal = TakeHeader(now_ns)) return refusal;
  }
  return std::nullopt;
}

std::optional<Refusal> FrameInspector::TakeOverhead(size_t bytes, uint64_t now_ns) {
  if (budget_->bytes.Take(now_ns, static_cast<uint32_t>(bytes))) return std::nullopt;
  return Refusal::kFlood;
}

void FrameInspector::ExpectAnswers(uint32_t sends) {
  answers_ = std::min(answers_ + kAnswersEach * std::min(sends, kMostAnswers), kMostAnswers);
}

std::optional<Refusal> FrameInspector::TakeMagic(std::string_view* bytes) {
  const size_t size = std::min(bytes->size(), kMagic.size() - magic_seen_);
  if (bytes->substr(0, size) != kMagic.substr(magic_seen_, size)) return Refusal::kNotHttp2;
  magic_seen_ += size;
  bytes->remove_prefix(size);
  return std::nullopt;
}

std::optional<Refusal> FrameInspector::TakeHeader(uint64_t now_ns) {
  const uint32_t length = uint32_t{header_[0]} << 16 | uint32_t{header_[1]} << 8 | header_[2];
  const uint8_t type = header_[3];
  const bool ends_block = (header_[4] & kEndHeaders) != 0;
  if (length > kMaxFrameBytes) return Refusal::kOversized;
  if (type == kWindowUpdate && answers_ > 0) {
    --answers_;
  } else if (!budget_->frames.Take(now_ns)) {
    return Refusal::kFlood;
  }
  if (!greeted_ && type != kSettings) return Refusal::kNotHttp2;
  greeted_ = true;
  if (in_block_ != (type == kContinuation)) return Refusal::kNotHttp2;
  if (type == kHeaders) {
    if (!budget_->calls.Take(now_ns)) return Refusal::kFlood;
    block_bytes_ = 0;
  }
  if (type == kHeaders || type == kContinuation) {
    block_bytes_ += length;
    if (block_bytes_ > budget_->header_block_bytes) return Refusal::kOversized;
    in_block_ = !ends_block;
    called_ |= ends_block;
  }
  payload_left_ = length;
  return std::nullopt;
}

}  // namespace lockhost::server
