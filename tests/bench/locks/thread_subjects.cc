// SPDX-License-Identifier: Apache-2.0
//
// The lock that knows which threads run: a guest agent without a host serves the page socket.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "client/lock/attach.h"
#include "client/lock/spinlock.h"
#include "tests/bench/locks/lockhost_subjects.h"
#include "tests/bench/locks/workloads.h"

namespace lockhost::bench {
namespace {

constexpr int kPatienceMs = 5'000;

// lockhost-guestd as a child that ends with this process.
class Guestd {
 public:
  Guestd() {
    char pattern[] = "/tmp/lockhost-bench-XXXXXX";
    if (mkdtemp(pattern) == nullptr) return;
    directory_ = pattern;
    const std::string socket = absl::StrCat("--page-socket=", this->socket());
    const std::string host = absl::StrCat("--host=unix:", directory_, "/host.sock");
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    if (freopen("/dev/null", "w", stdout) == nullptr) _exit(1);
    // It asks no host while something is measured.
    execl(LOCKHOST_GUESTD_PROGRAM, LOCKHOST_GUESTD_PROGRAM, host.c_str(), socket.c_str(),
          "--backoff-first=59m", "--backoff-last=59m", nullptr);
    _exit(127);
  }
  ~Guestd() {
    if (pid_ > 0) {
      kill(pid_, SIGTERM);
      waitpid(pid_, nullptr, 0);
    }
    if (!directory_.empty()) rmdir(directory_.c_str());
  }
  Guestd(const Guestd&) = delete;
  Guestd& operator=(const Guestd&) = delete;

  std::string socket() const { return directory_ + "/pages.sock"; }

  // What it offers, once it answers.
  lockhost_threads_offer Offer() const {
    lock::AgentAnswer answer;
    for (int i = 0; i < kPatienceMs / 5; ++i) {
      if (lock::ReceivePages(socket().c_str(), nullptr, &answer)) {
        close(answer.hint_fd);
        close(answer.report_fd);
        return answer.threads.offer;
      }
      poll(nullptr, 0, 5);
    }
    return LOCKHOST_THREADS_UNKNOWN;
  }

 private:
  std::string directory_;
  pid_t pid_ = -1;
};

const Guestd& TheGuestd() {
  static const Guestd guestd;
  return guestd;
}

std::string WhyNoThreads() {
  switch (TheGuestd().Offer()) {
    case LOCKHOST_THREADS_ON:
      return "";
    case LOCKHOST_THREADS_UNPRIVILEGED:
      return "not root";
    case LOCKHOST_THREADS_UNKNOWN:
      return "lockhost-guestd does not answer";
    default:
      return "lockhost-guestd cannot load its BPF programs here";
  }
}

void WithThreads() {
  setenv("LOCKHOST_PAGE_SOCKET", TheGuestd().socket().c_str(), /*overwrite=*/1);
  lockhost_attach();
  std::array<char, 400> text{};
  lockhost_describe(text.data(), text.size());
  if (std::string_view(text.data()).find("; threads known") == std::string_view::npos) abort();
}

}  // namespace

void AddThreadSubjects(std::vector<Subject>* subjects) {
  subjects->push_back({.name = "lockhost-threads",
                       .ours = true,
                       .prepare = WithThreads,
                       .why_missing = WhyNoThreads,
                       .run = RunCell<BasicLockable<SpinLock>>});
  subjects->push_back({.name = "lockhost-mutex-threads",
                       .ours = true,
                       .prepare = WithThreads,
                       .why_missing = WhyNoThreads,
                       .run = RunCell<LockhostMutex>});
}

}  // namespace lockhost::bench
