// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/cgroup_parse.h"

#include <charconv>
#include <utility>

#include "absl/strings/ascii.h"
#include "agent/kernel/proc_parse.h"
#include "agent/kernel/vmm.h"

namespace lockhost::agent {
namespace {

constexpr size_t kEscapeSize = 4;  // "\xHH"

bool IsEscape(std::string_view text) {
  return text.size() >= kEscapeSize && text.starts_with("\\x") && absl::ascii_isxdigit(text[2]) &&
         absl::ascii_isxdigit(text[3]);
}

// Cuts off `text` what comes before the next `separator`, and that.
std::string_view CutAt(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return part;
}

// "machine-qemu\x2d3\x2dweb.scope": "web". libvirt's number for the domain (3) changes
// each time it starts.
std::optional<std::string> MachineName(std::string_view scope) {
  constexpr std::string_view kPrefix = "machine-";
  constexpr std::string_view kSuffix = ".scope";
  if (!scope.starts_with(kPrefix) || !scope.ends_with(kSuffix)) return std::nullopt;
  scope.remove_prefix(kPrefix.size());
  scope.remove_suffix(kSuffix.size());
  const std::string machine = UnescapeUnitName(scope);
  std::string_view rest = machine;
  if (CutAt(rest, '-') != "qemu" || !ParseNumber(CutAt(rest, '-'))) return std::nullopt;
  if (rest.empty()) return std::nullopt;
  return PrintableFact(rest);
}

std::optional<LibvirtCgroup> ParsePath(std::string_view path) {
  std::optional<LibvirtCgroup> cgroup;
  while (!path.empty()) {
    const std::string_view component = CutAt(path, '/');
    if (!cgroup) {
      if (auto name = MachineName(component)) cgroup = LibvirtCgroup{*std::move(name), {}};
      continue;
    }
    // Older versions have no folder of libvirt's own between the scope and the vCPU.
    if (component == "libvirt") continue;
    if (component.starts_with("vcpu")) cgroup->vcpu_id = ParseVcpuThreadName(component);
    break;  // what lies deeper is not libvirt's
  }
  return cgroup;
}

}  // namespace

std::string UnescapeUnitName(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    if (IsEscape(text)) {
      uint8_t byte = 0;
      std::from_chars(text.data() + 2, text.data() + kEscapeSize, byte, 16);
      plain += static_cast<char>(byte);
      text.remove_prefix(kEscapeSize);
    } else {
      plain += text[0];
      text.remove_prefix(1);
    }
  }
  return plain;
}

std::optional<LibvirtCgroup> ParseLibvirtCgroup(std::string_view text) {
  std::optional<LibvirtCgroup> best;
  while (!text.empty()) {
    std::string_view line = CutAt(text, '\n');
    // "ID:CONTROLLERS:PATH"; the path may hold colons.
    CutAt(line, ':');
    CutAt(line, ':');
    auto cgroup = ParsePath(line);
    // Of version 1's hierarchies only some have a group for each vCPU.
    if (cgroup && (!best || !best->vcpu_id)) best = std::move(cgroup);
  }
  return best;
}

}  // namespace lockhost::agent
