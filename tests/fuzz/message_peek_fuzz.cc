// SPDX-License-Identifier: Apache-2.0
//
// What a host sends, read before gRPC reads it. Input: the size of the pieces in which it
// arrives (1 byte), then what arrives.
#include <algorithm>
#include <string>
#include <vector>

#include "client/guest_agent/message_peek.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::guest_agent {
namespace {

constexpr uint32_t kStream = 1;
constexpr size_t kMostBytes = 1'000;

std::vector<std::string> Messages(std::string_view bytes, size_t piece) {
  std::vector<std::string> messages;
  MessagePeek peek(kStream, kMostBytes, [&](std::string_view message) {
    FUZZ_CHECK(message.size() <= kMostBytes);
    messages.emplace_back(message);
    return true;
  });
  while (!bytes.empty()) {
    peek.Take(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  FUZZ_CHECK(peek.seen() == messages.size());
  return messages;
}

}  // namespace
}  // namespace lockhost::guest_agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockhost::ByteReader input(data, size);
  const size_t piece = size_t{input.Take<uint8_t>()} + 1;
  const std::string_view bytes = input.TakeRest();
  FUZZ_CHECK(lockhost::guest_agent::Messages(bytes, piece) ==
             lockhost::guest_agent::Messages(bytes, bytes.size() + 1));
  return 0;
}
