// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/support/vmm_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>

#include "absl/status/status.h"
#include "agent/kernel/procfs.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

absl::StatusOr<std::unique_ptr<VmmProcess>> VmmProcess::Start(int vcpus, Guest guest,
                                                              std::chrono::microseconds tick) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "make a pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const std::string count = std::to_string(vcpus);
  const std::string period = std::to_string(tick.count());
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) {
    dup2(writer.get(), STDOUT_FILENO);
    execl(LOCKHOST_TINY_VMM, "tiny_vmm", count.c_str(), guest == Guest::kHalts ? "halts" : "spins",
          period.c_str(), nullptr);
    _exit(127);
  }
  writer.reset();
  std::unique_ptr<VmmProcess> process(new VmmProcess(pid));
  char answer[256];
  const ssize_t size = read(reader.get(), answer, sizeof(answer));
  const std::string text(answer, size > 0 ? static_cast<size_t>(size) : 0);
  if (text != "ready\n") return absl::UnavailableError("no VM: " + text);
  return process;
}

VmmProcess::~VmmProcess() { Kill(); }

// In the order of their names, which end in the id.
std::vector<pid_t> VmmProcess::VcpuThreads() const {
  std::vector<pid_t> threads;
  const auto procfs = Procfs::Open();
  if (!procfs.ok()) return threads;
  for (const pid_t tid : procfs->Threads(pid_)) {
    const auto id = ParseVcpuThreadName(procfs->ThreadName(pid_, tid));
    if (!id) continue;
    threads.resize(std::max<size_t>(threads.size(), *id + 1));
    threads[*id] = tid;
  }
  return threads;
}

void VmmProcess::Signal(int signal) const { kill(pid_, signal); }

void VmmProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

}  // namespace lockhost::agent
