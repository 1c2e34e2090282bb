// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/procfs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/kernel/tree.h"

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
  return ReadFileAt(root_, path, limit);
}

std::vector<pid_t> Procfs::Numbers(const std::string& path) const {
  std::vector<pid_t> numbers;
  for (const std::string& name : NamesAt(root_, path)) {
    const auto number = ParseNumber(name);
    if (!number || *number > static_cast<uint64_t>(std::numeric_limits<pid_t>::max())) continue;
    numbers.push_back(static_cast<pid_t>(*number));
  }
  return numbers;
}

std::vector<pid_t> Procfs::Processes() const { return Numbers("."); }

std::vector<pid_t> Procfs::Threads(pid_t pid) const { return Numbers(absl::StrCat(pid, "/task")); }

ProcessMark Procfs::Mark(pid_t pid) const {
  struct stat threads {};
  if (fstatat(root_.get(), absl::StrCat(pid, "/task").c_str(), &threads, 0) != 0) return {};
  return {threads.st_ino, threads.st_nlink};
}

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
    if (ParseVcpuFdLink(ReadLinkAt(root_, absl::StrCat(directory, "/", number)))) return true;
  }
  return false;
}

std::vector<ProcFd> Procfs::Descriptors(pid_t pid) const {
  const std::string directory = absl::StrCat(pid, "/fd");
  std::vector<ProcFd> descriptors;
  for (const pid_t number : Numbers(directory)) {
    std::string target = ReadLinkAt(root_, absl::StrCat(directory, "/", number));
    if (!target.empty()) descriptors.push_back({number, std::move(target)});
  }
  return descriptors;
}

std::string Procfs::ThreadCgroup(pid_t pid, pid_t tid) const {
  return Read(absl::StrCat(pid, "/task/", tid, "/cgroup"), kMaxCmdline);
}

bool Procfs::ShowsInitialPidNamespace() const {
  // Its inode number is fixed: PROC_PID_INIT_INO in the kernel's proc_ns.h.
  constexpr std::string_view kInitial = "pid:[4026531836]";
  const std::string of_init = ReadLinkAt(root_, "1/ns/pid");
  // Without leave to look at init, this process's own is all there is to go by.
  return (of_init.empty() ? ReadLinkAt(root_, "self/ns/pid") : of_init) == kInitial;
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
