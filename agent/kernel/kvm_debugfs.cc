// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/kvm_debugfs.h"

#include <fcntl.h>

#include <cerrno>
#include <limits>

#include "absl/strings/str_cat.h"
#include "agent/kernel/proc_parse.h"
#include "agent/kernel/tree.h"
#include "agent/kernel/vmm.h"

namespace lockhost::agent {
namespace {

constexpr size_t kSmallFile = 64;

std::optional<pid_t> ParsePid(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  const auto number = ParseNumber(text);
  constexpr uint64_t kMaxPid = std::numeric_limits<pid_t>::max();
  if (!number || *number == 0 || *number > kMaxPid) return std::nullopt;
  return static_cast<pid_t>(*number);
}

}  // namespace

std::optional<KvmDirectory> ParseKvmDirectory(std::string_view name) {
  const size_t dash = name.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto pid = ParsePid(name.substr(0, dash));
  const auto fd = ParseNumber(name.substr(dash + 1));
  if (!pid || !fd || *fd > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return KvmDirectory{*pid, static_cast<uint32_t>(*fd)};
}

absl::StatusOr<KvmDebugfs> KvmDebugfs::Open(const std::string& sysfs_root) {
  const std::string path = absl::StrCat(sysfs_root, "/kernel/debug/kvm");
  // Readable, not O_PATH alone: who may not list it learns nothing from it.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  return KvmDebugfs(std::move(fd));
}

std::map<uint32_t, pid_t> KvmDebugfs::Vcpus(const std::string& directory) const {
  std::map<uint32_t, pid_t> vcpus;
  for (const std::string& name : NamesAt(root_, directory)) {
    if (!name.starts_with("vcpu")) continue;
    const auto id = ParseVcpuThreadName(name);  // the same form: "vcpuN"
    const auto tid =
        ParsePid(ReadFileAt(root_, absl::StrCat(directory, "/", name, "/pid"), kSmallFile));
    if (id && tid) vcpus.emplace(*id, *tid);
  }
  return vcpus;
}

std::map<pid_t, size_t> KvmDebugfs::VmCounts() const {
  std::map<pid_t, size_t> counts;
  for (const std::string& name : NamesAt(root_, ".")) {
    if (const auto directory = ParseKvmDirectory(name)) ++counts[directory->pid];
  }
  return counts;
}

std::vector<std::map<uint32_t, pid_t>> KvmDebugfs::Vms(pid_t pid) const {
  std::vector<std::map<uint32_t, pid_t>> vms;
  for (const std::string& name : NamesAt(root_, ".")) {
    const auto directory = ParseKvmDirectory(name);
    if (directory && directory->pid == pid) vms.push_back(Vcpus(name));
  }
  return vms;
}

}  // namespace lockhost::agent
