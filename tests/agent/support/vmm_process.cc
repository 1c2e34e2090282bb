// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/support/vmm_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "agent/kernel/procfs.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

absl::StatusOr<std::unique_ptr<VmmProcess>> VmmProcess::Start(int vcpus, Guest guest,
                                                              std::chrono::microseconds tick,
                                                              Backend backend) {
  int orders[2];
  int answers[2];
  if (pipe2(orders, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "make a pipe");
  const UniqueFd its_input(orders[0]);
  UniqueFd our_end(orders[1]);
  if (pipe2(answers, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "make a pipe");
  UniqueFd reader(answers[0]);
  UniqueFd its_output(answers[1]);
  const std::string count = std::to_string(vcpus);
  const std::string period = std::to_string(tick.count());
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) {
    dup2(its_input.get(), STDIN_FILENO);
    dup2(its_output.get(), STDOUT_FILENO);
    execl(LOCKHOST_TINY_VMM, "tiny_vmm", count.c_str(), guest == Guest::kHalts ? "halts" : "spins",
          period.c_str(), backend == Backend::kAny ? "any" : "kvm", nullptr);
    _exit(127);
  }
  its_output.reset();
  std::unique_ptr<VmmProcess> process(new VmmProcess(pid));
  process->orders_ = std::move(our_end);
  process->answers_ = std::move(reader);
  const std::string answer = process->ReadLine();
  process->is_kvm_ = answer != "ready: threads\n";
  if (!answer.starts_with("ready")) return absl::UnavailableError("no VM: " + answer);
  return process;
}

std::string VmmProcess::ReadLine() const {
  char line[256];
  const ssize_t size = read(answers_.get(), line, sizeof(line));
  return {line, size > 0 ? static_cast<size_t>(size) : 0};
}

absl::Status VmmProcess::BeginRegistration(const std::string& agent_socket) const {
  if (is_kvm_) return absl::OkStatus();
  const std::string order = agent_socket + "\n";
  if (write(orders_.get(), order.data(), order.size()) != static_cast<ssize_t>(order.size())) {
    return absl::ErrnoToStatus(errno, "tell the VMM");
  }
  return absl::OkStatus();
}

absl::Status VmmProcess::RegisterWith(const std::string& agent_socket) {
  if (is_kvm_) return absl::OkStatus();
  if (absl::Status begun = BeginRegistration(agent_socket); !begun.ok()) return begun;
  const std::string answer = ReadLine();
  if (answer == "registered\n") return absl::OkStatus();
  return absl::InternalError("threads were not registered: " + answer);
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
