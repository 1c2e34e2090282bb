// SPDX-License-Identifier: Apache-2.0
//
// What each fuzzer asserts. Not assert(): it holds in every build type.
#ifndef LOCKHOST_TESTS_FUZZ_FUZZ_CHECK_H_
#define LOCKHOST_TESTS_FUZZ_FUZZ_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

// Ends the program by abort() when the condition does not hold: a finding.
#define FUZZ_CHECK(condition)                                                             \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

namespace lockhost {

inline std::string_view AsText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// An empty view may point anywhere.
inline bool IsInside(std::string_view view, std::string_view whole) {
  return view.empty() ||
         (view.data() >= whole.data() && view.data() + view.size() <= whole.data() + whole.size());
}

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_FUZZ_FUZZ_CHECK_H_
