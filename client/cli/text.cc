// SPDX-License-Identifier: Apache-2.0
#include "client/cli/text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace lockhost::cli {
namespace {

// Two digits where the number is small, so that it says something.
std::string Scaled(double value, const char* unit) {
  return value < 9.95 ? absl::StrFormat("%.1f%s", value, unit)
                      : absl::StrFormat("%.0f%s", value, unit);
}

std::string Cut(std::string_view text, size_t width) {
  if (text.size() <= width) return std::string(text);
  return std::string(text.substr(0, width - 1)) + "~";
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string clean(text);
  for (char& each : clean) {
    if (each < ' ' || each > '~') each = '?';
  }
  return clean;
}

std::string PadRight(std::string_view text, size_t width) {
  std::string cell = Cut(text, width);
  cell.resize(width, ' ');
  return cell;
}

std::string PadLeft(std::string_view text, size_t width) {
  const std::string cell = Cut(text, width);
  return std::string(width - cell.size(), ' ') + cell;
}

std::string ShortDuration(uint64_t ns) {
  const auto value = static_cast<double>(ns);
  if (ns < 1'000) return absl::StrCat(ns, "ns");
  if (value < 999.5e3) return Scaled(value / 1e3, "us");
  if (value < 999.5e6) return Scaled(value / 1e6, "ms");
  if (value < 599.5e9) return Scaled(value / 1e9, "s");
  if (value < 99.5 * 60e9) return Scaled(value / 60e9, "m");
  if (value < 47.5 * 3600e9) return Scaled(value / 3600e9, "h");
  return Scaled(value / 86400e9, "d");
}

std::string ShortRate(double per_second) {
  if (per_second <= 0) return "0";
  if (per_second < 9999.5) return Scaled(per_second, "");
  if (per_second < 999.5e3) return Scaled(per_second / 1e3, "k");
  return Scaled(per_second / 1e6, "M");
}

std::string Counted(size_t count, std::string_view what) {
  return absl::StrCat(count, " ", absl::string_view(what.data(), what.size()),
                      count == 1 ? "" : "s");
}

std::vector<std::string> Wrap(std::string_view text, size_t width) {
  std::vector<std::string> lines(1);
  for (absl::string_view word :
       absl::StrSplit(absl::string_view(text.data(), text.size()), ' ', absl::SkipEmpty())) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) {
      lines.emplace_back();
    }
    if (!lines.back().empty()) lines.back() += ' ';
    for (; word.size() > width; word.remove_prefix(width)) {
      lines.back().append(word.data(), width);
      lines.emplace_back();
    }
    lines.back().append(word.data(), word.size());
  }
  return lines;
}

}  // namespace lockhost::cli
