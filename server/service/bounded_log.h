// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_BOUNDED_LOG_H_
#define LOCKHOST_SERVER_SERVICE_BOUNDED_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/token_bucket.h"

namespace lockhost::server {

// What a library says because of what guests send: gRPC writes a line for each header that it
// does not like, and guests must not fill the host's log. Pure; the caller gives the time (ns).
// Not thread-safe.
class BoundedLog {
 public:
  static constexpr uint32_t kLinesPerSecond = 1;
  static constexpr uint32_t kLinesAtOnce = 20;

  // The line to be written for this message, if there is one.
  std::optional<std::string> Take(const char* message, uint64_t now_ns) {
    if (!lines_.Take(now_ns)) {
      ++left_out_;
      return std::nullopt;
    }
    const uint64_t left_out = std::exchange(left_out_, 0);
    // Guests' bytes are in it, which must neither begin a line nor drive a terminal.
    std::string line = absl::CHexEscape(message);
    if (left_out == 0) return line;
    return absl::StrCat(line, " (", left_out, " messages before it were left out)");
  }

 private:
  TokenBucket lines_{kLinesPerSecond, kLinesAtOnce};
  uint64_t left_out_ = 0;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_BOUNDED_LOG_H_
