// SPDX-License-Identifier: Apache-2.0
//
// Files of /proc: what is understood, written again as the kernel writes it, is
// understood the same.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/kernel/proc_parse.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::agent {
namespace {

void CheckNumber(std::string_view text) {
  const auto number = ParseNumber(text);
  if (!number) return;
  const size_t zeros = std::min(text.find_first_not_of('0'), text.size() - 1);
  FUZZ_CHECK(absl::StrCat(*number) == text.substr(zeros));
}

void CheckStat(std::string_view text) {
  const auto stat = ParseStat(text);
  if (!stat) return;
  FUZZ_CHECK(stat->id >= 0);
  FUZZ_CHECK(text.find(absl::StrCat(" (", stat->name, ") ")) != std::string_view::npos);
  // Line feeds: a state ')' before a space would look like the end of the name.
  std::string again = absl::StrCat(stat->id, " (", stat->name, ") ");
  again += stat->state;
  for (int field = 4; field < 22; ++field) again += "\n0";
  absl::StrAppend(&again, "\n", stat->start_ticks, "\n0\n");
  const auto second = ParseStat(again);
  FUZZ_CHECK(second.has_value());
  FUZZ_CHECK(second->id == stat->id && second->name == stat->name);
  FUZZ_CHECK(second->state == stat->state && second->start_ticks == stat->start_ticks);
}

// Whatever a thread calls itself, nothing of it is taken for a field.
void CheckHostileName(std::string_view name) {
  std::string text = "7 (";
  text.append(name).append(") R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99 0\n");
  const auto stat = ParseStat(text);
  FUZZ_CHECK(stat.has_value());
  FUZZ_CHECK(stat->id == 7 && stat->name == name && stat->state == 'R');
  FUZZ_CHECK(stat->start_ticks == 99);
}

void CheckSchedstat(std::string_view text) {
  const auto stat = ParseSchedstat(text);
  if (!stat) return;
  const auto second =
      ParseSchedstat(absl::StrCat(stat->run_ns, " ", stat->delay_ns, " ", stat->runs, "\n"));
  FUZZ_CHECK(second.has_value());
  FUZZ_CHECK(second->run_ns == stat->run_ns && second->delay_ns == stat->delay_ns);
  FUZZ_CHECK(second->runs == stat->runs);
}

void CheckRunnableThreads(std::string_view text) {
  const auto threads = ParseRunnableThreads(text);
  if (!threads) return;
  FUZZ_CHECK(text.find(absl::StrCat(*threads, "/")) != std::string_view::npos);
}

void CheckCmdline(std::string_view text) {
  std::string again;
  for (std::string_view argument : ParseCmdline(text)) {
    FUZZ_CHECK(IsInside(argument, text));
    FUZZ_CHECK(argument.find('\0') == std::string_view::npos);
    again.append(argument).push_back('\0');
  }
  if (!text.empty() && text.back() != '\0') again.pop_back();  // its last one had no end
  FUZZ_CHECK(again == text);
}

void Check(std::string_view text) {
  CheckNumber(text);
  CheckStat(text);
  CheckHostileName(text);
  CheckSchedstat(text);
  CheckRunnableThreads(text);
  CheckCmdline(text);
}

}  // namespace
}  // namespace lockhost::agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockhost::agent::Check(lockhost::AsText(data, size));
  return 0;
}
