// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/thread_usage.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace lockhost::lab {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

absl::StatusOr<uint64_t> ParseCpuTime(absl::string_view schedstat) {
  uint64_t ns = 0;
  if (!absl::SimpleAtoi(schedstat.substr(0, schedstat.find(' ')), &ns)) {
    return absl::InvalidArgumentError("schedstat: first field is not a number");
  }
  return ns;
}

absl::StatusOr<uint64_t> ParseSwitches(absl::string_view status) {
  uint64_t total = 0;
  int found = 0;
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    if (!absl::ConsumePrefix(&line, "voluntary_ctxt_switches:") &&
        !absl::ConsumePrefix(&line, "nonvoluntary_ctxt_switches:")) {
      continue;
    }
    uint64_t count = 0;
    if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(line), &count)) {
      return absl::InvalidArgumentError("status: a count of context switches is not a number");
    }
    total += count;
    ++found;
  }
  if (found != 2) return absl::InvalidArgumentError("status: no counts of context switches");
  return total;
}

absl::StatusOr<ThreadUsage> ReadThreadUsage(std::span<const pid_t> tids) {
  ThreadUsage sum;
  for (const pid_t tid : tids) {
    const std::string base = absl::StrCat("/proc/self/task/", tid);
    absl::StatusOr<std::string> schedstat = ReadFile(base + "/schedstat");
    if (!schedstat.ok()) return schedstat.status();
    absl::StatusOr<std::string> status = ReadFile(base + "/status");
    if (!status.ok()) return status.status();
    const absl::StatusOr<uint64_t> cpu_ns = ParseCpuTime(*schedstat);
    if (!cpu_ns.ok()) return cpu_ns.status();
    const absl::StatusOr<uint64_t> switches = ParseSwitches(*status);
    if (!switches.ok()) return switches.status();
    sum.cpu_ns += *cpu_ns;
    sum.switches += *switches;
  }
  return sum;
}

absl::StatusOr<uint64_t> ReadProcessCpuNs(pid_t pid) {
  std::error_code error;
  uint64_t sum = 0;
  for (const auto& task :
       std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/task"), error)) {
    const absl::StatusOr<std::string> schedstat = ReadFile(task.path().string() + "/schedstat");
    if (!schedstat.ok()) continue;  // it has just ended
    const absl::StatusOr<uint64_t> cpu_ns = ParseCpuTime(*schedstat);
    if (!cpu_ns.ok()) return cpu_ns.status();
    sum += *cpu_ns;
  }
  if (error) return absl::NotFoundError(absl::StrCat("process ", pid, ": ", error.message()));
  return sum;
}

}  // namespace lockhost::lab
