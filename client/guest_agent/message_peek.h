// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_MESSAGE_PEEK_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_MESSAGE_PEEK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "common/http2_frames.h"

namespace lockhost::guest_agent {

// Reads the messages of one gRPC stream off its connection's bytes before gRPC does. It follows
// the frames alone; headers, flow control, status and errors are gRPC's. Where it meets what it
// does not read (a padded frame, a compressed or too large message) it sees nothing from then
// on, and what it has not seen is for gRPC to deliver. Pure; memory for one message.
class MessagePeek {
 public:
  // False: see no more.
  using OnMessage = std::function<bool(std::string_view message)>;

  MessagePeek(uint32_t stream_id, size_t most_bytes, OnMessage on_message)
      : stream_id_(stream_id), most_bytes_(most_bytes), on_message_(std::move(on_message)) {}

  // The next bytes from the host. Returns whether they are of that stream's messages, or grants
  // of windows, and nothing else, so that gRPC may have them later.
  bool Take(std::string_view bytes);

  // Messages seen so far; gRPC will deliver the same ones first.
  uint64_t seen() const { return seen_; }
  bool blind() const { return blind_; }

 private:
  void TakeData(std::string_view bytes);
  void TakeMessages();

  const uint32_t stream_id_;
  const size_t most_bytes_;
  const OnMessage on_message_;
  http2::FrameCutter frames_;
  std::string message_;  // with its prefix; not complete yet
  uint64_t seen_ = 0;
  bool blind_ = false;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_MESSAGE_PEEK_H_
