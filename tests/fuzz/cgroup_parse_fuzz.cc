// SPDX-License-Identifier: Apache-2.0
//
// Names of control groups, whose makers choose them. Input: /proc/PID/task/TID/cgroup;
// all of it is also tried as a unit's name.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/kernel/cgroup_parse.h"
#include "agent/kernel/cpu_cgroup.h"
#include "client/page/hint_page.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::agent {
namespace {

void CheckUnitName(std::string_view text) {
  const std::string plain = UnescapeUnitName(text);
  // Four characters become one, or nothing changes.
  FUZZ_CHECK(plain.size() <= text.size() && (text.size() - plain.size()) % 3 == 0);
  FUZZ_CHECK(plain.size() != text.size() || plain == text);
}

void CheckCgroup(std::string_view text) {
  const auto cgroup = ParseLibvirtCgroup(text);
  if (!cgroup) return;
  FUZZ_CHECK(!cgroup->name.empty() && cgroup->name.size() <= text.size());
  FUZZ_CHECK(std::all_of(cgroup->name.begin(), cgroup->name.end(),
                         [](char c) { return c >= ' ' && c <= '~'; }));
  FUZZ_CHECK(!cgroup->vcpu_id || *cgroup->vcpu_id < LOCKHOST_MAX_SLOTS);
  FUZZ_CHECK(text.find("machine-") != std::string_view::npos);
  FUZZ_CHECK(!cgroup->vcpu_id ||
             text.find(absl::StrCat(*cgroup->vcpu_id)) != std::string_view::npos);
  // Other control groups before and after change nothing.
  std::string longer = "9:cpu:/user.slice\n";
  longer.append(text).push_back('\n');
  FUZZ_CHECK(ParseLibvirtCgroup(longer) == cgroup);
}

void CheckCpuCgroup(std::string_view text) {
  const auto cgroup = ParseCpuCgroup(text);
  FUZZ_CHECK(!cgroup || (cgroup->path.front() == '/' && cgroup->path.size() <= text.size()));
  FUZZ_CHECK(!NamesAnother(text, {}) || text.find_first_of("0123456789") != std::string_view::npos);
}

}  // namespace
}  // namespace lockhost::agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = lockhost::AsText(data, size);
  lockhost::agent::CheckUnitName(text);
  lockhost::agent::CheckCgroup(text);
  lockhost::agent::CheckCpuCgroup(text);
  return 0;
}
