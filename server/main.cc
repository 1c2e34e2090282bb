// SPDX-License-Identifier: Apache-2.0
// lockhostd: from the agent's tables to the guests.
#include <grpc/support/log.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <mutex>

#include "absl/strings/str_join.h"
#include "common/clock.h"
#include "common/program_flags.h"
#include "common/scheduling.h"
#include "common/termination.h"
#include "server/daemon/daemon.h"
#include "server/daemon/options.h"
#include "server/flags.h"
#include "server/service/bounded_log.h"

namespace {

using lockhost::UniqueFd;
using lockhost::server::Config;
using lockhost::server::Daemon;
using lockhost::server::InheritedSockets;

Daemon::Observer Log() {
  return {.info = [](const std::string& text) { spdlog::info("{}", text); },
          .warning = [](const std::string& text) { spdlog::warn("{}", text); }};
}

// Descriptors: some ten a VM, three a connection.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void LogForGrpc(gpr_log_func_args* args) {
  static std::mutex mutex;
  static lockhost::server::BoundedLog log;
  const std::lock_guard lock(mutex);
  const auto line = log.Take(args->message, lockhost::MonotonicClock().now_ns());
  if (line.has_value()) spdlog::warn("gRPC: {}", *line);
}

absl::StatusOr<UniqueFd> ReloadFd() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (error != 0) return absl::ErrnoToStatus(error, "block SIGHUP");
  UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "signalfd");
  return fd;
}

// A bad file changes nothing.
void Reload(int fd, Config* current, Daemon* daemon) {
  signalfd_siginfo signal;
  while (read(fd, &signal, sizeof(signal)) > 0) {
  }
  const absl::StatusOr<Config> next = lockhost::server::LoadConfig();
  absl::Status taken = next.status();
  Daemon::Options options;
  if (next.ok()) {
    options = lockhost::server::OptionsFrom(*next);
    taken = daemon->SetTls(options.tls);
  }
  daemon->CountReload(taken.ok());
  if (!taken.ok()) {
    spdlog::error("configuration not taken over, the old one stays: {}", taken.ToString());
    return;
  }
  const auto changed = [&](lockhost::server::Effect effect) {
    return absl::StrJoin(lockhost::server::ChangedFields(*current, *next, effect), ", ");
  };
  const auto warn = [](const std::string& fields, const char* when) {
    if (!fields.empty()) spdlog::warn("changed, but takes effect {}: {}", when, fields);
  };
  warn(changed(lockhost::server::EFFECT_RESTART), "at the next start");
  warn(changed(lockhost::server::EFFECT_NEW_VMS), "for VMs that come from now on");
  spdlog::info("configuration read again; changed: {}", changed(lockhost::server::EFFECT_NOW));
  daemon->SetLimits(options.vm);
  *current = *next;
}

absl::Status ServeUntilTerminated() {
  absl::StatusOr<Config> config = lockhost::server::LoadConfig();
  if (!config.ok()) return config.status();
  absl::StatusOr<UniqueFd> termination = lockhost::TerminationFd();
  if (!termination.ok()) return termination.status();
  absl::StatusOr<UniqueFd> reload = ReloadFd();
  if (!reload.ok()) return reload.status();
  Daemon::Options options = lockhost::server::OptionsFrom(*config);
  options.version = LOCKHOST_VERSION;
  absl::StatusOr<InheritedSockets> inherited = lockhost::server::TakeInheritedSockets();
  if (!inherited.ok()) return inherited.status();
  lockhost::server::UseInherited(*std::move(inherited), &options);
  uint64_t* instance = &options.publisher.instance;
  if (getrandom(instance, sizeof(*instance), 0) != sizeof(*instance)) {
    return absl::ErrnoToStatus(errno, "getrandom");
  }
  // Sockets are born with no more than their final mode.
  umask(0007);
  RaiseDescriptorLimit();
  // Inherited by gRPC's threads: what they do can wait for the next switch. The publisher
  // asks for the opposite.
  lockhost::RequestPatientWakeups().IgnoreError();
  auto daemon = Daemon::Start(std::move(options), lockhost::MonotonicClock(), Log());
  if (!daemon.ok()) return daemon.status();
  spdlog::info("serving");
  (*daemon)->Run(termination->get(),
                 {reload->get(), [&] { Reload(reload->get(), &*config, daemon->get()); }});
  spdlog::info("draining");
  daemon->reset();
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv, "Publishes vCPU hints to the guests of this host.");
  gpr_set_log_function(LogForGrpc);
  const absl::Status status = ServeUntilTerminated();
  if (status.ok()) return 0;
  spdlog::error("{}", status.ToString());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}
