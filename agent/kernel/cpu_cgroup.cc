// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/cpu_cgroup.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "agent/kernel/proc_parse.h"
#include "agent/kernel/tree.h"

namespace lockhost::agent {
namespace {

constexpr size_t kMostBytes = 256 * 1024;

// Cuts off `text` what comes before the next `separator`, and that.
std::string_view CutAt(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return part;
}

bool IsCpuController(std::string_view controllers) {
  while (!controllers.empty()) {
    if (CutAt(controllers, ',') == "cpu") return true;
  }
  return false;
}

// The nearest group at or above `path` that has the controller; "/" in the end.
std::string WithController(const std::string& mount, std::string path) {
  while (path.size() > 1 && access(absl::StrCat(mount, path, "/cpu.weight").c_str(), F_OK) != 0) {
    path.resize(std::max<size_t>(path.rfind('/'), 1));
  }
  return path;
}

std::string ReadMembers(const std::string& file) {
  const UniqueFd here(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return ReadFileAt(here, file, kMostBytes);
}

}  // namespace

std::optional<CpuCgroup> ParseCpuCgroup(std::string_view text) {
  std::optional<CpuCgroup> found;
  while (!text.empty()) {
    std::string_view path = CutAt(text, '\n');
    const std::string_view hierarchy = CutAt(path, ':');
    const std::string_view controllers = CutAt(path, ':');
    if (!path.starts_with('/')) continue;
    const bool unified = hierarchy == "0" && controllers.empty();
    if (!unified && !IsCpuController(controllers)) continue;
    if (!unified || !found) found = CpuCgroup{unified, std::string(path)};
  }
  return found;
}

bool NamesAnother(std::string_view members, const std::vector<pid_t>& threads) {
  while (!members.empty()) {
    const auto tid = ParseNumber(CutAt(members, '\n'));
    if (!tid) continue;
    if (std::find(threads.begin(), threads.end(), static_cast<pid_t>(*tid)) == threads.end()) {
      return true;
    }
  }
  return false;
}

std::optional<bool> HasCpuCgroupToItself(const Procfs& procfs, const std::string& sysfs_root,
                                         pid_t pid, pid_t tid) {
  const auto cgroup = ParseCpuCgroup(procfs.ThreadCgroup(pid, tid));
  if (!cgroup) return std::nullopt;
  const std::string mount =
      absl::StrCat(sysfs_root, cgroup->unified ? "/fs/cgroup" : "/fs/cgroup/cpu");
  const std::string path = cgroup->unified ? WithController(mount, cgroup->path) : cgroup->path;
  if (path == "/") return false;
  const char* const list = cgroup->unified ? "/cgroup.threads" : "/tasks";
  const std::string members = ReadMembers(absl::StrCat(mount, path, list));
  if (members.empty()) return std::nullopt;
  return !NamesAnother(members, procfs.Threads(pid));
}

}  // namespace lockhost::agent
