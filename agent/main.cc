// SPDX-License-Identifier: Apache-2.0

// lockhost-agent: see agent/README.md.
#include <pwd.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "agent/daemon/agent.h"
#include "agent/discovery/dump.h"
#include "agent/kernel/proc_parse.h"
#include "agent/source/bpf_pins.h"
#include "common/program_flags.h"
#include "common/scheduling.h"
#include "common/termination.h"

ABSL_FLAG(std::string, socket, "/run/lockhost/agent.sock", "where the agent listens");
ABSL_FLAG(std::string, source, "auto", "where run states come from: auto, bpf, perf or procfs");
ABSL_FLAG(std::string, server_uid, "", "user (name or number) that lockhostd runs as");
ABSL_FLAG(std::string, pin_dir, "/sys/fs/bpf/lockhost",
          "folder in a BPF file system that keeps tables written while no agent runs; "
          "empty: nothing is pinned, all ends with the agent");
ABSL_FLAG(std::string, boost, "auto",
          "how a preempted lock holder is made to run at once: auto, fifo, nice or none");
ABSL_FLAG(absl::Duration, boost_limit, absl::Microseconds(200), "longest boost, from 20us to 2ms");
ABSL_FLAG(
    absl::Duration, boost_surcharge, absl::Milliseconds(8),
    "CPU time that a VM makes up for with each boost besides what the vCPU ran, at most 20ms");
ABSL_FLAG(double, boost_vm_share, 0.05, "boosted time that a VM may use, as a share of one CPU");
ABSL_FLAG(double, boost_host_share, 0.05,
          "boosted time of all VMs together, as a share of the host's CPUs");
ABSL_FLAG(std::string, boost_ledger, "",
          "file that says which threads are boosted; empty: `boosts` beside the socket");
ABSL_FLAG(bool, unboost, false,
          "give back what an agent that has died left boosted, by the ledger, and exit");
ABSL_FLAG(bool, unpin, false, "remove what is pinned in --pin_dir, and exit");
ABSL_FLAG(bool, dump, false,
          "print the VMs that can be seen from user space, and where each fact was read, and exit");
ABSL_FLAG(uint32_t, registered_vms, 64,
          "VMs of threads that processes register as vCPUs, where KVM does not show them, at the "
          "same time; at most 256");
ABSL_FLAG(std::string, procfs_root, "/proc", "where the proc file system is mounted");
ABSL_FLAG(std::string, sysfs_root, "/sys",
          "where sysfs is mounted: with debugfs in kernel/debug, the kernel's types in kernel/btf");

namespace lockhost::agent {
namespace {

std::optional<uid_t> UidOf(const std::string& user) {
  if (const auto number = ParseNumber(user)) return static_cast<uid_t>(*number);
  const passwd* entry = getpwnam(user.c_str());
  return entry == nullptr ? std::nullopt : std::optional(entry->pw_uid);
}

// Descriptors: two a VM, one a connection, and copies for slow peers.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string LedgerPath() {
  const std::string path = absl::GetFlag(FLAGS_boost_ledger);
  if (!path.empty()) return path;
  return std::filesystem::path(absl::GetFlag(FLAGS_socket)).parent_path() / "boosts";
}

uint64_t NotNegative(absl::Duration duration) {
  return static_cast<uint64_t>(std::max(absl::ToInt64Nanoseconds(duration), int64_t{0}));
}

BoostOptions BoostOptionsFromFlags() {
  BoostOptions options;
  options.mechanism = absl::GetFlag(FLAGS_boost);
  options.ledger_path = LedgerPath();
  options.limits.longest_ns = NotNegative(absl::GetFlag(FLAGS_boost_limit));
  options.limits.surcharge_ns = NotNegative(absl::GetFlag(FLAGS_boost_surcharge));
  options.limits.vm_share = absl::GetFlag(FLAGS_boost_vm_share);
  options.limits.host_share = absl::GetFlag(FLAGS_boost_host_share);
  return options;
}

absl::StatusOr<AgentOptions> OptionsFromFlags() {
  AgentOptions options;
  options.socket = absl::GetFlag(FLAGS_socket);
  options.source = absl::GetFlag(FLAGS_source);
  options.procfs_root = absl::GetFlag(FLAGS_procfs_root);
  options.sysfs_root = absl::GetFlag(FLAGS_sysfs_root);
  options.registered_vms = absl::GetFlag(FLAGS_registered_vms);
  if (options.registered_vms > kMaxVms) {
    return absl::InvalidArgumentError(absl::StrCat("--registered_vms: at most ", kMaxVms));
  }
  options.boost = BoostOptionsFromFlags();
  options.bpf.btf_directory = options.sysfs_root + "/kernel/btf";
  options.bpf.pin_directory = absl::GetFlag(FLAGS_pin_dir);
  options.server_uids = {0, geteuid()};
  const std::string user = absl::GetFlag(FLAGS_server_uid);
  if (user.empty()) return options;
  const auto uid = UidOf(user);
  if (!uid) return absl::InvalidArgumentError("--server_uid: no such user: " + user);
  options.server_uids.push_back(*uid);
  return options;
}

absl::Status Serve() {
  const auto termination = TerminationFd();
  if (!termination.ok()) return termination.status();
  const auto options = OptionsFromFlags();
  if (!options.ok()) return options.status();
  auto loop = EventLoop::Create();
  if (!loop.ok()) return loop.status();
  const auto agent = Agent::Create(loop->get(), *options, MonotonicClock());
  if (!agent.ok()) return agent.status();
  const auto stop = [&](uint32_t) { (*loop)->Stop(); };
  absl::Status status = (*loop)->Watch(termination->get(), EPOLLIN, stop);
  if (!status.ok()) return status;
  spdlog::info("listening at {}", options->socket);
  return (*loop)->Run();
}

absl::Status Dump() {
  const auto text = DumpVms(absl::GetFlag(FLAGS_procfs_root), absl::GetFlag(FLAGS_sysfs_root));
  if (!text.ok()) return text.status();
  std::fputs(text->c_str(), stdout);
  return std::fflush(stdout) == 0 ? absl::OkStatus() : absl::ErrnoToStatus(errno, "write");
}

absl::Status Unboost() {
  const auto undone = UndoBoosts(LedgerPath());
  if (!undone.ok()) return undone.status();
  spdlog::info("restored {} threads", *undone);
  return absl::OkStatus();
}

absl::Status Run() {
  if (absl::GetFlag(FLAGS_unboost)) return Unboost();
  if (absl::GetFlag(FLAGS_unpin)) return RemoveAllPins(absl::GetFlag(FLAGS_pin_dir));
  return absl::GetFlag(FLAGS_dump) ? Dump() : Serve();
}

}  // namespace
}  // namespace lockhost::agent

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv, "Finds this host's vCPUs and keeps their run states.");
  spdlog::set_default_logger(spdlog::stderr_logger_st("lockhost-agent"));
  spdlog::set_pattern("%n: %l: %v");
  spdlog::flush_on(spdlog::level::info);
  lockhost::agent::RaiseDescriptorLimit();
  // Nothing here is in a hurry; a prompt wake-up would take the CPU from a vCPU.
  lockhost::RequestPatientWakeups().IgnoreError();
  const absl::Status status = lockhost::agent::Run();
  if (status.ok()) return 0;
  spdlog::error("{}", std::string(status.message()));
  return 1;
}
