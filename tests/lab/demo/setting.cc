// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/demo/setting.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace lockhost::lab {
namespace {

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (absl::StartsWith(line, "model name") && colon != std::string::npos) {
      return std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    }
  }
  return "unknown CPU";
}

std::string KernelRelease() {
  utsname facts = {};
  return uname(&facts) == 0 ? facts.release : "unknown";
}

}  // namespace

uint32_t UsableCpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<uint32_t>(std::max(1, CPU_COUNT(&set)));
}

Setting LookAround(Session& session) {
  return {.kvm = session.machine().is_kvm(),
          .why_not_kvm = session.why_not_kvm(),
          .source = session.source().name,
          .source_reason = session.source().reason,
          .why_not_boosted = session.why_not_boosted(),
          .oracle = session.has_oracle(),
          .machine = CpuModel(),
          .kernel = KernelRelease(),
          .cpus = UsableCpus(),
          .date = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone()),
          .root = geteuid() == 0};
}

}  // namespace lockhost::lab
