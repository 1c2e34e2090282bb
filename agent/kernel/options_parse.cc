// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/options_parse.h"

#include "absl/strings/ascii.h"
#include "agent/kernel/proc_parse.h"

namespace lockhost::agent {

std::string_view OptionValue(std::span<const std::string_view> arguments, std::string_view option) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == option && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].size() > option.size() && arguments[i].starts_with(option) &&
        arguments[i][option.size()] == '=') {
      return arguments[i].substr(option.size() + 1);
    }
  }
  return {};
}

std::string_view ListValue(std::string_view list, std::string_view key) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view item = list.substr(0, comma);
    if (item.size() > key.size() && item.starts_with(key) && item[key.size()] == '=') {
      return item.substr(key.size() + 1);
    }
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return {};
}

std::optional<uint64_t> ParseSize(std::string_view text, uint64_t unit_bytes) {
  constexpr std::string_view kSuffixes = "bkmgt";  // each 1024 times the one before
  if (text.empty()) return std::nullopt;
  const size_t power = kSuffixes.find(absl::ascii_tolower(text.back()));
  if (power != std::string_view::npos) {
    text.remove_suffix(1);
    unit_bytes = uint64_t{1} << (10 * power);
  }
  const auto number = ParseNumber(text);
  uint64_t bytes = 0;
  if (!number || __builtin_mul_overflow(*number, unit_bytes, &bytes)) return std::nullopt;
  return bytes;
}

}  // namespace lockhost::agent
