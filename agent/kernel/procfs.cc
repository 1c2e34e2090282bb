// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/procfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"

namespace lockhost::agent {
namespace {

constexpr size_t kSmallFile = 4096;
constexpr size_t kMaxCmdline = 64 * 1024;

}  // namespace

absl::StatusOr<Procfs> Procfs::Open(const std::string& root) {
  UniqueFd fd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", root));
  return Procfs(std::move(fd));
}

std::string Procfs::Read(const std::string& path, size_t limit) const {
  const UniqueFd file(openat(root_.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  while (file.valid() && text.size() < limit) {
    const ssize_t size = read(file.get(), buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(buffer, static_cast<size_t>(size));
  }
  return text;
}

std::vector<pid_t> Procfs::Numbers(const std::string& path) const {
  std::vector<pid_t> numbers;
  const int fd = openat(root_.get(), path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd), &closedir);
  if (directory == nullptr) {
    close(fd);
    return numbers;
  }
  while (const dirent* entry = readdir(directory.get())) {
    const auto number = ParseNumber(entry->d_name);
    if (!number || *number > static_cast<uint64_t>(std::numeric_limits<pid_t>::max())) continue;
    numbers.push_back(static_cast<pid_t>(*number));
  }
  return numbers;
}

std::vector<pid_t> Procfs::Processes() const { return Numbers("."); }

std::vector<pid_t> Procfs::Threads(pid_t pid) const { return Numbers(absl::StrCat(pid, "/task")); }

std::optional<uint32_t> Procfs::RunnableThreads() const {
  return ParseRunnableThreads(Read("loadavg", kSmallFile));
}

std::optional<ProcStat> Procfs::Stat(pid_t pid) const {
  return ParseStat(Read(absl::StrCat(pid, "/stat"), kSmallFile));
}

std::optional<ProcStat> Procfs::ThreadStat(pid_t pid, pid_t tid) const {
  return ParseStat(Read(absl::StrCat(pid, "/task/", tid, "/stat"), kSmallFile));
}

std::string Procfs::ThreadName(pid_t pid, pid_t tid) const {
  std::string name = Read(absl::StrCat(pid, "/task/", tid, "/comm"), kSmallFile);
  if (name.ends_with('\n')) name.pop_back();
  return name;
}

VmmFacts Procfs::Describe(pid_t pid) const {
  const std::string cmdline = Read(absl::StrCat(pid, "/cmdline"), kMaxCmdline);
  return DescribeVmm(ThreadName(pid, pid), ParseCmdline(cmdline));
}

bool Procfs::HoldsVcpus(pid_t pid) const {
  const std::string directory = absl::StrCat(pid, "/fd");
  for (const pid_t number : Numbers(directory)) {
    char target[64];
    const ssize_t size = readlinkat(root_.get(), absl::StrCat(directory, "/", number).c_str(),
                                    target, sizeof(target));
    if (size > 0 && ParseVcpuFdLink({target, static_cast<size_t>(size)})) return true;
  }
  return false;
}

std::vector<ProcFd> Procfs::Descriptors(pid_t pid) const {
  const std::string directory = absl::StrCat(pid, "/fd");
  std::vector<ProcFd> descriptors;
  for (const pid_t number : Numbers(directory)) {
    char target[64];
    const ssize_t size = readlinkat(root_.get(), absl::StrCat(directory, "/", number).c_str(),
                                    target, sizeof(target));
    if (size > 0) descriptors.push_back({number, {target, static_cast<size_t>(size)}});
  }
  return descriptors;
}

UniqueFd Procfs::OpenThreadFile(pid_t pid, pid_t tid, const char* name) const {
  return UniqueFd(openat(root_.get(), absl::StrCat(pid, "/task/", tid, "/", name).c_str(),
                         O_RDONLY | O_CLOEXEC));
}

std::string ReadAgain(const UniqueFd& file) {
  char buffer[kSmallFile];
  ssize_t size;
  do {
    size = pread(file.get(), buffer, sizeof(buffer), 0);
  } while (size < 0 && errno == EINTR);
  return size > 0 ? std::string(buffer, static_cast<size_t>(size)) : std::string();
}

}  // namespace lockhost::agent
