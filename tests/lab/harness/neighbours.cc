// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/neighbours.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace lockhost::lab {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kWordsPerLine = kLine / sizeof(uint64_t);

[[noreturn]] void Hog(pid_t parent, uint64_t* turns) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  for (uint64_t value = 1;;) {
    for (int i = 0; i < 1000; ++i) value = value * 6364136223846793005u + 1442695040888963407u;
    __atomic_store_n(turns, *turns + 1 + (value == 0), __ATOMIC_RELAXED);
  }
}

// The CPUs that this process may use.
std::vector<int> Cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  }
  return cpus;
}

absl::Status MoveTo(pid_t tid, std::span<const int> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(cpu, &set);
  if (sched_setaffinity(tid, sizeof(set), &set) == 0) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("pin thread ", tid, ": ", strerror(errno)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Neighbours>> Neighbours::Start(uint32_t hogs) {
  const size_t bytes = std::max<size_t>(1, hogs) * kLine;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "map the hogs' counters");
  std::unique_ptr<Neighbours> all(new Neighbours(static_cast<uint64_t*>(memory), hogs));
  const pid_t parent = getpid();
  for (uint32_t i = 0; i < hogs; ++i) {
    const pid_t pid = fork();
    if (pid < 0) return absl::ErrnoToStatus(errno, "start a hog");
    if (pid == 0) Hog(parent, all->turns_ + i * kWordsPerLine);
    all->pids_.push_back(pid);
  }
  return all;
}

Neighbours::~Neighbours() {
  for (const pid_t pid : pids_) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  munmap(turns_, std::max<size_t>(1, hogs_) * kLine);
}

uint64_t Neighbours::Turns() const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < hogs_; ++i) {
    sum += __atomic_load_n(turns_ + i * kWordsPerLine, __ATOMIC_RELAXED);
  }
  return sum;
}

std::optional<Pinning> PinningNamed(const std::string& name) {
  if (name == "A") return Pinning::kEach;
  if (name == "B") return Pinning::kNone;
  if (name == "C") return Pinning::kOneCpu;
  return std::nullopt;
}

absl::Status Pin(Pinning pinning, std::span<const pid_t> vcpus, std::span<const pid_t> hogs) {
  const std::vector<int> cpus = Cpus();
  if (cpus.empty()) return absl::AbortedError("no CPU to pin to");
  size_t next = 0;
  const auto place = [&](bool pinned) {
    return pinned ? std::span(cpus).subspan(next++ % cpus.size(), 1) : std::span(cpus);
  };
  for (const pid_t tid : vcpus) {
    const auto where =
        pinning == Pinning::kOneCpu ? std::span(cpus).first(1) : place(pinning == Pinning::kEach);
    if (absl::Status moved = MoveTo(tid, where); !moved.ok()) return moved;
  }
  for (const pid_t pid : hogs) {
    if (absl::Status moved = MoveTo(pid, place(pinning == Pinning::kEach)); !moved.ok()) {
      return moved;
    }
  }
  return absl::OkStatus();
}

}  // namespace lockhost::lab
