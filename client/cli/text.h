// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_TEXT_H_
#define LOCKHOST_CLIENT_CLI_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Text for terminals of 80 columns. Pure, thread-safe.
namespace lockhost::cli {

inline constexpr size_t kColumns = 80;

// What a VM or VMM chose as a name, harmless for a terminal: whatever is no printable
// ASCII character becomes "?".
std::string Printable(std::string_view text);

// Exactly `width` characters: filled up with spaces, or cut with a "~" at its end.
std::string PadRight(std::string_view text, size_t width);
std::string PadLeft(std::string_view text, size_t width);

// At most five characters: "17ns", "1.2us", "350ms", "12s", "3.4h", "9d".
std::string ShortDuration(uint64_t ns);

// At most six characters: "0", "0.4", "12", "15k", "1.2M".
std::string ShortRate(double per_second);

// "1 VM", "2 VMs".
std::string Counted(size_t count, std::string_view what);

// Words in lines of at most `width` characters; a longer word is broken.
std::vector<std::string> Wrap(std::string_view text, size_t width);

}  // namespace lockhost::cli

#endif  // LOCKHOST_CLIENT_CLI_TEXT_H_
