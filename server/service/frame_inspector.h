// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_FRAME_INSPECTOR_H_
#define LOCKHOST_SERVER_SERVICE_FRAME_INSPECTOR_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/token_bucket.h"
#include "server/directory/connection_counters.h"
#include "server/service/limits.h"

namespace lockhost::server {

// What the connections of one server may still send.
struct FrameBudget {
  explicit FrameBudget(const ConnectionLimits& limits)
      : bytes(limits.bytes_per_second, limits.byte_burst),
        frames(limits.frames_per_second, limits.frame_burst),
        calls(limits.calls_per_second, limits.call_burst),
        header_block_bytes(limits.header_block_bytes) {}

  TokenBucket bytes;
  TokenBucket frames;
  TokenBucket calls;
  uint32_t header_block_bytes;
};

// Follows the frames that a client sends on one connection (RFC 9113), without looking into
// them: enough to bound what each kind of frame can make an HTTP/2 library do. What it lets
// pass may still be wrong; the library says so. Pure, constant memory; not thread-safe.
class FrameInspector {
 public:
  // `budget` outlives the inspector.
  explicit FrameInspector(FrameBudget* budget) : budget_(budget) {}

  // Judges the next bytes; nullopt: they may pass. After a refusal the connection is to be
  // closed.
  std::optional<Refusal> Take(std::string_view bytes, uint64_t now_ns);
  // We have sent so many times: what a client answers that with, window updates for its
  // stream and its connection, is then not counted. A guest that is told much would
  // otherwise be cut off for reading it.
  void ExpectAnswers(uint32_t sends);

  // Counts bytes that came with those as bytes, and looks no further.
  std::optional<Refusal> TakeOverhead(size_t bytes, uint64_t now_ns);

  // The client has begun as HTTP/2 clients do: fixed bytes, then SETTINGS.
  bool greeted() const { return greeted_; }
  // It has opened a call.
  bool called() const { return called_; }

 private:
  std::optional<Refusal> TakeMagic(std::string_view* bytes);
  std::optional<Refusal> TakeHeader(uint64_t now_ns);

  FrameBudget* const budget_;
  size_t magic_seen_ = 0;
  std::array<uint8_t, 9> header_{};
  size_t header_seen_ = 0;
  uint32_t payload_left_ = 0;
  uint32_t block_bytes_ = 0;  // of the header block that is open
  uint32_t answers_ = 0;      // window updates that are still expected
  bool in_block_ = false;
  bool greeted_ = false;
  bool called_ = false;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_FRAME_INSPECTOR_H_
