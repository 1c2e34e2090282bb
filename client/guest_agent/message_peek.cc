// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/message_peek.h"

namespace lockhost::guest_agent {
namespace {

constexpr size_t kPrefixBytes = 5;  // a flag, the length

}  // namespace

bool MessagePeek::Take(std::string_view bytes) {
  bool can_wait = !blind_;
  while (const auto piece = frames_.Next(&bytes)) {
    const bool ours = piece->frame.type == http2::kData && piece->frame.stream_id == stream_id_;
    // What the host grants for reports is plenty, and gRPC can learn of it later, too.
    const bool granted = piece->frame.type == http2::kWindowUpdate;
    if (!granted && (!ours || piece->frame.flags != 0)) can_wait = false;
    if (ours && (piece->frame.flags & http2::kPadded) != 0) blind_ = true;
    if (ours && !piece->header) TakeData(piece->bytes);
  }
  return can_wait && !blind_;
}

void MessagePeek::TakeData(std::string_view bytes) {
  if (blind_) return;
  message_.append(bytes);
  TakeMessages();
  if (blind_) message_.clear();
}

void MessagePeek::TakeMessages() {
  std::string_view rest = message_;
  while (!blind_ && rest.size() >= kPrefixBytes) {
    const size_t size = http2::ReadBig32(rest.data() + 1);
    if (rest[0] != 0 || size > most_bytes_) {
      blind_ = true;
    } else if (rest.size() - kPrefixBytes < size) {
      break;
    } else {
      ++seen_;
      blind_ = !on_message_(rest.substr(kPrefixBytes, size));
      rest.remove_prefix(kPrefixBytes + size);
    }
  }
  message_.erase(0, message_.size() - rest.size());
}

}  // namespace lockhost::guest_agent
