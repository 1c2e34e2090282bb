// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_DIRECTORY_CONNECTION_COUNTERS_H_
#define LOCKHOST_SERVER_DIRECTORY_CONNECTION_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lockhost::server {

// Why we closed a connection by ourselves.
enum class Refusal : uint8_t {
  kTooMany,    // as many are open as may be
  kTooFast,    // they come faster than they may
  kNotHttp2,   // frames that HTTP/2 does not have there
  kSilent,     // no call for too long after it was opened
  kFlood,      // more bytes, frames or calls a second than the server takes
  kOversized,  // a frame or a header block is too large
};
inline constexpr std::array<const char*, 6> kRefusalNames = {"too_many", "too_fast", "not_http2",
                                                             "silent",   "flood",    "oversized"};

// Connections of one server. Thread-safe.
struct ConnectionCounters {
  std::atomic<uint32_t> open{0};
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> accept_pauses{0};  // times that a listener was left alone for a while
  std::array<std::atomic<uint64_t>, kRefusalNames.size()> refused{};  // index: Refusal

  std::atomic<uint64_t>& of(Refusal why) { return refused[static_cast<size_t>(why)]; }
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_DIRECTORY_CONNECTION_COUNTERS_H_
