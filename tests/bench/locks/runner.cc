// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/runner.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/unique_fd.h"
#include "tests/bench/locks/work.h"

namespace lockhost::bench {
namespace {

// Queue locks need seconds to let 32 threads through when most of them have no CPU.
constexpr int kMostMs = 60'000;

// Memory that a child process shares.
class SharedSample {
 public:
  SharedSample()
      : memory_(mmap(nullptr, sizeof(Sample), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                     -1, 0)) {}
  ~SharedSample() {
    if (valid()) munmap(memory_, sizeof(Sample));
  }
  SharedSample(const SharedSample&) = delete;
  SharedSample& operator=(const SharedSample&) = delete;

  bool valid() const { return memory_ != MAP_FAILED; }
  Sample* get() const { return static_cast<Sample*>(memory_); }

 private:
  void* const memory_;
};

[[noreturn]] void Measure(const Subject& subject, const Cell& cell, const RunPlan& plan,
                          Sample* sample) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (subject.prepare != nullptr) subject.prepare();
  subject.run(cell, plan, sample);
  sample->complete = true;
  _exit(0);
}

// True if the process has ended within the time.
bool HasEnded(pid_t process) {
  const UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
  if (!fd.valid()) return false;
  pollfd watched = {.fd = fd.get(), .events = POLLIN, .revents = 0};
  return poll(&watched, 1, kMostMs) == 1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sample>> RunOnce(const Subject& subject, const Cell& cell,
                                                const RunPlan& plan) {
  const SharedSample shared;
  if (!shared.valid()) return absl::ErrnoToStatus(errno, "map memory for a sample");
  const pid_t child = fork();
  if (child < 0) return absl::ErrnoToStatus(errno, "fork");
  if (child == 0) Measure(subject, cell, plan, shared.get());
  const bool ended = HasEnded(child);
  if (!ended) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  const std::string what = absl::StrCat(subject.name, ", ", NameOf(cell));
  if (!ended) return absl::DeadlineExceededError(absl::StrCat(what, ": hangs"));
  if (!shared.get()->complete) {
    return absl::InternalError(absl::StrCat(what, ": ended with wait status ", status));
  }
  if (shared.get()->exclusion_errors != 0) {
    return absl::InternalError(absl::StrCat(what, ": two threads were inside the lock"));
  }
  return std::make_unique<Sample>(*shared.get());
}

absl::StatusOr<std::unique_ptr<Sample>> RunAtFullPace(const Subject& subject, const Cell& cell,
                                                      const RunPlan& plan, int tries,
                                                      int* disturbed) {
  using std::chrono::steady_clock;
  constexpr std::chrono::seconds kPatience{3};
  if (tries == 0) return RunOnce(subject, cell, plan);
  for (int i = 1;; ++i) {
    const auto give_up = steady_clock::now() + kPatience;
    while (!IsAtFullPace(plan) && steady_clock::now() < give_up) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    auto sample = RunOnce(subject, cell, plan);
    if (!sample.ok() || IsAtFullPace(plan)) return sample;
    if (i < tries) continue;
    ++*disturbed;
    return sample;
  }
}

}  // namespace lockhost::bench
