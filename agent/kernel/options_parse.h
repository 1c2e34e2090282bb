// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_OPTIONS_PARSE_H_
#define LOCKHOST_AGENT_KERNEL_OPTIONS_PARSE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

// How VMMs write options on their command lines. Pure, thread-safe. The views point into
// the arguments; empty means that there is no such option.
namespace lockhost::agent {

// The value of `--option VALUE` or `--option=VALUE`.
std::string_view OptionValue(std::span<const std::string_view> arguments, std::string_view option);

// The value of `key=` in a comma-separated list such as "guest=web,debug-threads=on".
std::string_view ListValue(std::string_view list, std::string_view key);

// A size such as "512", "2G" or "4194304k", in bytes; a number without suffix counts
// `unit_bytes`. nullopt: not of this form, or more than 64 bits hold.
std::optional<uint64_t> ParseSize(std::string_view text, uint64_t unit_bytes);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_OPTIONS_PARSE_H_
