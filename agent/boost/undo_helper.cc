// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/undo_helper.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "absl/status/status.h"
#include "agent/boost/mechanism.h"

namespace lockhost::agent {
namespace {

// What ends the agent in good order must not end the helper before it.
void IgnoreSignals() {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) std::signal(signal, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Nothing of the agent's is to be held open by it, its sockets least of all.
void CloseAllBut(int first, int second) {
  const auto [low, high] = std::minmax(first, second);
  close_range(3, static_cast<unsigned>(low) - 1, 0);
  close_range(static_cast<unsigned>(low) + 1, static_cast<unsigned>(high) - 1, 0);
  close_range(static_cast<unsigned>(high) + 1, ~0U, 0);
}

[[noreturn]] void Help(int life, Ledger* ledger, const Procfs* procfs) {
  prctl(PR_SET_NAME, "lockhost-undo");
  IgnoreSignals();
  CloseAllBut(life, procfs->fd());
  if (auto own = GetScheduling(0); own.ok()) {
    SchedAttributes urgent = Boosted(BoostMechanism::kFifo, *own);
    urgent.priority = kUndoHelperPriority;
    SetScheduling(0, urgent).IgnoreError();
  }
  char byte;
  while (read(life, &byte, 1) < 0 && errno == EINTR) {
  }
  ledger->Undo(*procfs);
  _exit(0);
}

}  // namespace

absl::StatusOr<UndoHelper> UndoHelper::Start(Ledger* ledger, const Procfs* procfs) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "make a pipe");
  const UniqueFd theirs(ends[0]);
  UniqueFd ours(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "start the undo helper");
  if (pid == 0) {
    ours.reset();
    Help(theirs.get(), ledger, procfs);
  }
  return UndoHelper(pid, std::move(ours));
}

UndoHelper::~UndoHelper() {
  if (!life_.valid()) return;
  life_.reset();
  waitpid(pid_, nullptr, 0);
}

}  // namespace lockhost::agent
