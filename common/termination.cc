// SPDX-License-Identifier: Apache-2.0
#include "common/termination.h"

#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>

#include "absl/status/status.h"

namespace lockhost {

absl::StatusOr<UniqueFd> TerminationFd() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (error != 0) return absl::ErrnoToStatus(error, "block SIGTERM and SIGINT");
  UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "signalfd");
  return fd;
}

}  // namespace lockhost
