// SPDX-License-Identifier: Apache-2.0
//
// What a guest sends before HTTP/2 has looked at it. Input: the size of the pieces in
// which it arrives (1 byte), then what arrives.
#include <algorithm>
#include <optional>

#include "server/service/frame_inspector.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::server {
namespace {

constexpr uint64_t kNowNs = 1'000'000'000'000;  // it stands: no budget grows
constexpr size_t kMagicBytes = 24;
constexpr size_t kFrameHeaderBytes = 9;
constexpr uint32_t kMaxFrameBytes = 16'384;

ConnectionLimits Limits() {
  ConnectionLimits limits;
  limits.byte_burst = 1 << 30;  // spent by the piece, so it would depend on the pieces
  limits.frame_burst = 20;
  limits.call_burst = 3;
  limits.header_block_bytes = 300;
  return limits;
}

struct Verdict {
  std::optional<Refusal> refusal;
  bool greeted = false;
  bool called = false;

  bool operator==(const Verdict&) const = default;
};

Verdict Judge(std::string_view bytes, size_t piece) {
  FrameBudget budget(Limits());
  FrameInspector inspector(&budget);
  Verdict verdict;
  while (!bytes.empty() && !verdict.refusal) {
    const std::string_view next = bytes.substr(0, piece);
    bytes.remove_prefix(next.size());
    verdict.refusal = inspector.Take(next, kNowNs);
  }
  verdict.greeted = inspector.greeted();
  verdict.called = inspector.called();
  return verdict;
}

// What has passed keeps every bound; counted by walking whole frames.
void CheckPassed(std::string_view bytes, const Verdict& verdict) {
  const ConnectionLimits limits = Limits();
  uint32_t frames = 0, calls = 0, block_bytes = 0;
  bool called = false;
  bytes.remove_prefix(std::min(bytes.size(), kMagicBytes));
  while (bytes.size() >= kFrameHeaderBytes) {
    const auto at = [bytes](size_t i) { return static_cast<uint8_t>(bytes[i]); };
    const uint32_t length = uint32_t{at(0)} << 16 | uint32_t{at(1)} << 8 | at(2);
    const bool headers = at(3) == 1, continuation = at(3) == 9;
    FUZZ_CHECK(length <= kMaxFrameBytes && ++frames <= limits.frame_burst);
    FUZZ_CHECK(frames > 1 || at(3) == 4);
    if (headers) {
      FUZZ_CHECK(++calls <= limits.call_burst);
      block_bytes = 0;
    }
    if (headers || continuation) {
      block_bytes += length;
      FUZZ_CHECK(block_bytes <= limits.header_block_bytes);
      called = called || (at(4) & 4) != 0;
    }
    bytes.remove_prefix(std::min(bytes.size(), kFrameHeaderBytes + length));
  }
  FUZZ_CHECK(verdict.greeted == (frames > 0) && verdict.called == called);
}

}  // namespace
}  // namespace lockhost::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockhost::ByteReader input(data, size);
  const size_t piece = size_t{input.Take<uint8_t>()} + 1;
  const std::string_view bytes = input.TakeRest();
  const auto verdict = lockhost::server::Judge(bytes, bytes.size());
  FUZZ_CHECK(lockhost::server::Judge(bytes, piece) == verdict);
  if (!verdict.refusal) lockhost::server::CheckPassed(bytes, verdict);
  return 0;
}
