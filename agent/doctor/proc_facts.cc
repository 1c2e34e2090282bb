// SPDX-License-Identifier: Apache-2.0
#include "agent/doctor/proc_facts.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace lockhost::doctor {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::optional<uint64_t> ParseCapabilities(std::string_view status) {
  for (absl::string_view line : absl::StrSplit(View(status), '\n')) {
    if (!absl::ConsumePrefix(&line, "CapEff:")) continue;
    uint64_t set = 0;
    if (absl::SimpleHexAtoi(absl::StripAsciiWhitespace(line), &set)) return set;
  }
  return std::nullopt;
}

std::string ParseLockdown(std::string_view text) {
  const size_t open = text.find('[');
  const size_t close = text.find(']');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return "";
  return std::string(text.substr(open + 1, close - open - 1));
}

std::optional<std::string> FindMount(std::string_view mounts, std::string_view type,
                                     std::string_view where) {
  std::optional<std::string> found;
  for (const absl::string_view line : absl::StrSplit(View(mounts), '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
    if (fields.size() < 4 || fields[2] != View(type)) continue;
    if (fields[1] == View(where)) found = std::string(fields[3]);
  }
  return found;
}

std::string ParseHidepid(std::string_view options) {
  for (absl::string_view option : absl::StrSplit(View(options), ',')) {
    if (absl::ConsumePrefix(&option, "hidepid=")) return std::string(option);
  }
  return "";
}

uint32_t CountCpus(std::string_view list) {
  uint32_t count = 0;
  for (const absl::string_view range :
       absl::StrSplit(absl::StripAsciiWhitespace(View(list)), ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(range, '-');
    uint32_t first = 0;
    uint32_t last = 0;
    if (ends.size() > 2 || !absl::SimpleAtoi(ends.front(), &first) ||
        !absl::SimpleAtoi(ends.back(), &last) || last < first || last > 1u << 20) {
      return 0;
    }
    count += last - first + 1;
  }
  return count;
}

}  // namespace lockhost::doctor
