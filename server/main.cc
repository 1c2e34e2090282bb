// SPDX-License-Identifier: Apache-2.0
// lockhostd: from the agent's tables to the guests.
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/program_flags.h"
#include "common/scheduling.h"
#include "common/termination.h"
#include "server/daemon/daemon.h"
#include "server/flags.h"

namespace {

using lockhost::server::Daemon;

Daemon::Observer Log() {
  return {.info = [](const std::string& text) { spdlog::info("{}", text); },
          .warning = [](const std::string& text) { spdlog::warn("{}", text); }};
}

absl::Status ServeUntilTerminated() {
  absl::StatusOr<Daemon::Options> options = lockhost::server::OptionsFromFlags();
  if (!options.ok()) return options.status();
  absl::StatusOr<lockhost::UniqueFd> termination = lockhost::TerminationFd();
  if (!termination.ok()) return termination.status();
  // Sockets are born with no more than their final mode.
  umask(0007);
  // Inherited by gRPC's threads: what they do can wait for the next switch. The publisher
  // asks for the opposite.
  lockhost::RequestPatientWakeups().IgnoreError();
  auto daemon = Daemon::Start(*std::move(options), lockhost::MonotonicClock(), Log());
  if (!daemon.ok()) return daemon.status();
  spdlog::info("serving");
  (*daemon)->Run(termination->get());
  spdlog::info("draining");
  daemon->reset();
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv, "Publishes vCPU hints to the guests of this host.");
  const absl::Status status = ServeUntilTerminated();
  if (status.ok()) return 0;
  spdlog::error("{}", status.ToString());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}
