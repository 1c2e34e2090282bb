// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/proc_parse.h"

#include <charconv>
#include <limits>

namespace lockhost::agent {
namespace {

// Cuts the next field off `text`; empty at the end.
std::string_view NextField(std::string_view& text) {
  const size_t start = text.find_first_not_of(" \n");
  if (start == std::string_view::npos) {
    text = {};
    return {};
  }
  const size_t end = text.find_first_of(" \n", start);
  const std::string_view field = text.substr(start, end - start);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end);
  return field;
}

}  // namespace

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<ProcStat> ParseStat(std::string_view text) {
  // "ID (NAME) STATE ...": the name ends at the last parenthesis, whatever it holds.
  const size_t open = text.find(" (");
  const size_t close = text.rfind(") ");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open + 2) {
    return std::nullopt;
  }
  const auto id = ParseNumber(text.substr(0, open));
  if (!id || *id > static_cast<uint64_t>(std::numeric_limits<pid_t>::max())) return std::nullopt;
  ProcStat stat;
  stat.id = static_cast<pid_t>(*id);
  stat.name = std::string(text.substr(open + 2, close - open - 2));
  std::string_view rest = text.substr(close + 2);
  const std::string_view state = NextField(rest);
  if (state.size() != 1) return std::nullopt;
  stat.state = state[0];
  constexpr int kFieldsBetween = 18;  // state is field 3, the start time field 22
  for (int i = 0; i < kFieldsBetween; ++i) NextField(rest);
  const auto start_ticks = ParseNumber(NextField(rest));
  if (!start_ticks) return std::nullopt;
  stat.start_ticks = *start_ticks;
  return stat;
}

std::optional<ProcSchedstat> ParseSchedstat(std::string_view text) {
  const auto run_ns = ParseNumber(NextField(text));
  const auto delay_ns = ParseNumber(NextField(text));
  const auto runs = ParseNumber(NextField(text));
  if (!run_ns || !delay_ns || !runs || !NextField(text).empty()) return std::nullopt;
  return ProcSchedstat{*run_ns, *delay_ns, *runs};
}

std::optional<uint32_t> ParseRunnableThreads(std::string_view text) {
  constexpr int kAverages = 3;
  for (int i = 0; i < kAverages; ++i) NextField(text);
  const std::string_view threads = NextField(text);  // "RUNNABLE/ALL"
  const size_t slash = threads.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto runnable = ParseNumber(threads.substr(0, slash));
  if (!runnable || *runnable > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return static_cast<uint32_t>(*runnable);
}

std::vector<std::string_view> ParseCmdline(std::string_view text) {
  std::vector<std::string_view> arguments;
  while (!text.empty()) {
    const size_t end = text.find('\0');
    arguments.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return arguments;
}

}  // namespace lockhost::agent
