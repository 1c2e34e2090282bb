// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/signals.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

namespace lockhost::guest_agent {
namespace {

std::atomic<GuestAgent*> handled_agent{nullptr};
std::atomic<bool> stats_requested{false};

void OnSignal(int signal_number) {
  const int saved = errno;
  GuestAgent* agent = handled_agent.load();
  if (signal_number == SIGUSR1) {
    stats_requested = true;
    agent->Poke();
  } else {
    agent->RequestStop();
  }
  errno = saved;
}

void OnBusError(int) {
  constexpr std::string_view kText = "a page was shrunk under the agent; ending\n";
  if (GuestAgent* agent = handled_agent.load(); agent != nullptr) agent->VoidPage();
  if (write(STDERR_FILENO, kText.data(), kText.size()) < 0) _exit(75);
  _exit(75);  // EX_TEMPFAIL
}

void Handle(int signal_number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, nullptr);
}

sigset_t HandledSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGUSR1);
  return set;
}

}  // namespace

void BlockSignals() {
  signal(SIGPIPE, SIG_IGN);
  const sigset_t set = HandledSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void HandleSignals(GuestAgent* agent) {
  handled_agent = agent;
  Handle(SIGTERM, OnSignal);
  Handle(SIGINT, OnSignal);
  Handle(SIGUSR1, OnSignal);
  Handle(SIGBUS, OnBusError);
  const sigset_t set = HandledSignals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

bool TakeStatsRequest() { return stats_requested.exchange(false); }

}  // namespace lockhost::guest_agent
