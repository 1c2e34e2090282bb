// SPDX-License-Identifier: Apache-2.0
//
// Cuts a fuzzer's input into the arguments of what is called. Reads past the end give
// zeros and empty views. The views point into the input.
#ifndef LOCKHOST_TESTS_FUZZ_BYTE_READER_H_
#define LOCKHOST_TESTS_FUZZ_BYTE_READER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace lockhost {

class ByteReader {
 public:
  ByteReader(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  // Little-endian, as in a file written by hand.
  template <typename Number>
  Number Take() {
    Number number{};
    const std::string_view bytes = TakeBytes(sizeof(number));
    if (!bytes.empty()) std::memcpy(&number, bytes.data(), bytes.size());
    return number;
  }

  std::string_view TakeBytes(size_t wanted) {
    const std::string_view bytes = rest_.substr(0, wanted);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }
  std::string_view TakeRest() { return TakeBytes(rest_.size()); }

 private:
  std::string_view rest_;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_FUZZ_BYTE_READER_H_
