// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/child_process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/unique_fd.h"

namespace lockhost::lab {
namespace {

constexpr unsigned kCloseRangeCloexec = 1u << 2;  // linux/close_range.h

// What the child needs, made before the fork: afterwards only async-signal-safe calls.
struct Plan {
  std::vector<char*> argv;
  std::vector<int> fds;
  const Unprivileged* user;
  int log_fd;
  int error_fd;  // close-on-exec: carries errno and step if exec is not reached
  pid_t parent;
};

struct ChildError {
  int error;
  char step[24];
};

[[noreturn]] void GiveUp(const Plan& plan, const char* step) {
  ChildError report = {.error = errno, .step = {}};
  for (size_t i = 0; i + 1 < sizeof(report.step) && step[i] != '\0'; ++i) report.step[i] = step[i];
  (void)!write(plan.error_fd, &report, sizeof(report));
  _exit(127);
}

void DropRights(const Plan& plan) {
  if (plan.user == nullptr) return;
  if (geteuid() == 0) {
    if (setgroups(0, nullptr) != 0) GiveUp(plan, "setgroups");
    if (setresgid(plan.user->gid, plan.user->gid, plan.user->gid) != 0) GiveUp(plan, "setresgid");
    // Leaving uid 0 clears the permitted and effective capabilities.
    if (setresuid(plan.user->uid, plan.user->uid, plan.user->uid) != 0) GiveUp(plan, "setresuid");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) GiveUp(plan, "no_new_privs");
}

[[noreturn]] void BecomeChild(const Plan& plan) {
  // Its own group: a Ctrl-C at the terminal is for the parent, which ends it in order.
  if (setpgid(0, 0) != 0) GiveUp(plan, "setpgid");
  DropRights(plan);
  // After the change of user, which clears it. If the parent went before, nobody would
  // send the signal any more.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) GiveUp(plan, "pdeathsig");
  if (getppid() != plan.parent) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // Nothing that this process happens to hold goes along, but what is meant to.
  syscall(SYS_close_range, 3u, ~0u, kCloseRangeCloexec);
  for (const int fd : plan.fds) {
    if (fcntl(fd, F_SETFD, 0) != 0) GiveUp(plan, "inherited fd");
  }
  const int nothing = open("/dev/null", O_RDONLY);
  if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0) GiveUp(plan, "stdin");
  if (dup2(plan.log_fd, STDOUT_FILENO) < 0 || dup2(plan.log_fd, STDERR_FILENO) < 0) {
    GiveUp(plan, "dup2");
  }
  execv(plan.argv[0], plan.argv.data());
  GiveUp(plan, "exec");
}

Plan MakePlan(const ChildSpec& spec, int log_fd, int error_fd) {
  Plan plan = {.argv = {},
               .fds = spec.inherited_fds,
               .user = spec.user.has_value() ? &*spec.user : nullptr,
               .log_fd = log_fd,
               .error_fd = error_fd,
               .parent = getpid()};
  for (const std::string& argument : spec.argv) {
    plan.argv.push_back(const_cast<char*>(argument.c_str()));
  }
  plan.argv.push_back(nullptr);
  return plan;
}

}  // namespace

std::string TailOf(const std::string& path, size_t bytes) {
  std::ifstream file(path);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.size() > bytes) text.erase(0, text.size() - bytes);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept { *this = std::move(other); }

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this == &other) return *this;
  Kill();
  pid_ = std::exchange(other.pid_, -1);
  status_ = other.status_;
  name_ = std::move(other.name_);
  log_path_ = std::move(other.log_path_);
  return *this;
}

ChildProcess::~ChildProcess() { Kill(); }

absl::StatusOr<ChildProcess> ChildProcess::Start(const ChildSpec& spec) {
  const UniqueFd log(
      open(spec.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!log.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("opening ", spec.log_path));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe2");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const Plan plan = MakePlan(spec, log.get(), write_end.get());
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) BecomeChild(plan);
  write_end.reset();

  ChildProcess child;
  child.pid_ = pid;
  child.name_ = spec.name;
  child.log_path_ = spec.log_path;
  ChildError report = {};
  if (read(read_end.get(), &report, sizeof(report)) == sizeof(report)) {
    report.step[sizeof(report.step) - 1] = '\0';
    return absl::ErrnoToStatus(report.error,
                               absl::StrCat("starting ", spec.argv[0], ": ", report.step));
  }
  return child;
}

bool ChildProcess::Reap(bool wait) {
  if (pid_ <= 0) return true;
  pid_t reaped = 0;
  do {
    reaped = waitpid(pid_, &status_, wait ? 0 : WNOHANG);
  } while (reaped < 0 && errno == EINTR);
  if (reaped == 0) return false;
  pid_ = -1;
  return true;
}

absl::Status ChildProcess::Check() {
  if (name_.empty()) return absl::FailedPreconditionError("was never started");
  if (!Reap(/*wait=*/false)) return absl::OkStatus();
  const std::string how = WIFSIGNALED(status_)
                              ? absl::StrCat("was ended by signal ", WTERMSIG(status_))
                              : absl::StrCat("ended with exit code ", WEXITSTATUS(status_));
  const std::string words = LastWords();
  return absl::AbortedError(absl::StrCat(name_, " ", how, words.empty() ? "" : "; ", words));
}

std::string ChildProcess::LastWords() const {
  const std::string tail = TailOf(log_path_);
  return tail.empty() ? "" : absl::StrCat("last words of ", name_, ":\n", tail);
}

void ChildProcess::Stop(std::chrono::milliseconds patience) {
  if (pid_ <= 0) return;
  const UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  kill(pid_, SIGTERM);
  pollfd ended = {.fd = handle.get(), .events = POLLIN, .revents = 0};
  if (handle.valid()) poll(&ended, 1, static_cast<int>(patience.count()));
  Kill();
}

void ChildProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  Reap(/*wait=*/true);
}

}  // namespace lockhost::lab
