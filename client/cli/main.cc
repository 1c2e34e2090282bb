// SPDX-License-Identifier: Apache-2.0
// lockhost: the operator's view of a host and its guests.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/time/time.h"
#include "client/cli/commands.h"
#include "common/program_flags.h"

ABSL_FLAG(std::string, socket, "/run/lockhost/admin.sock", "lockhostd's admin socket");
ABSL_FLAG(std::string, agent_socket, "/run/lockhost-agent/agent.sock",
          "doctor, boost: where lockhost-agent listens");
ABSL_FLAG(std::string, pin_dir, "/sys/fs/bpf/lockhost", "doctor: where the agent pins");
ABSL_FLAG(std::string, procfs_root, "/proc", "doctor: where the proc file system is mounted");
ABSL_FLAG(std::string, sysfs_root, "/sys", "doctor: where sysfs is mounted");
ABSL_FLAG(absl::Duration, deadline, absl::Seconds(5), "longest wait for an answer");
ABSL_FLAG(absl::Duration, interval, absl::Seconds(1), "watch, top, trace: from 100ms to 60s");
ABSL_FLAG(uint32_t, count, 0, "watch, top, trace: end after so many; 0: go on");
ABSL_FLAG(bool, json, false, "print JSON");
ABSL_FLAG(bool, host, false, "doctor: look at the host's side");
ABSL_FLAG(bool, guest, false, "doctor: look at the guest's side");

namespace lockhost::cli {
namespace {

constexpr int kUsageError = 2;
constexpr char kUsage[] =
    "Tells the operator what lockhost knows.\n"
    "  lockhost doctor       what works, what does not, and what to change\n"
    "  lockhost vms          the VMs of this host\n"
    "  lockhost watch VM     one VM's vCPUs, again and again\n"
    "  lockhost top          all VMs and their vCPUs; q ends\n"
    "  lockhost trace VM     each boost of its preempted lock holders, as they come\n"
    "  lockhost boost VM on  run its preempted lock holders at once; or off; or all VMs\n"
    "VM is an id, a name, a UUID, or the beginning of one.";

int Usage(const std::string& complaint) {
  fprintf(stderr, "lockhost: %s\n%s\nlockhost --help lists the flags.\n", complaint.c_str(),
          kUsage);
  return kUsageError;
}

Options OptionsFromFlags() {
  Options options;
  options.socket = absl::GetFlag(FLAGS_socket);
  options.agent_socket = absl::GetFlag(FLAGS_agent_socket);
  options.pin_directory = absl::GetFlag(FLAGS_pin_dir);
  options.roots.procfs = absl::GetFlag(FLAGS_procfs_root);
  options.roots.sysfs = absl::GetFlag(FLAGS_sysfs_root);
  options.deadline = absl::ToChronoMilliseconds(absl::GetFlag(FLAGS_deadline));
  options.interval = absl::ToChronoMilliseconds(absl::GetFlag(FLAGS_interval));
  options.count = absl::GetFlag(FLAGS_count);
  options.json = absl::GetFlag(FLAGS_json);
  options.host = absl::GetFlag(FLAGS_host);
  options.guest = absl::GetFlag(FLAGS_guest);
  return options;
}

int ExitCode(const absl::Status& status) {
  if (status.ok()) return 0;
  fprintf(stderr, "lockhost: %s\n", std::string(status.message()).c_str());
  return 1;
}

int Run(const std::vector<std::string>& words) {
  const Options options = OptionsFromFlags();
  if (options.interval.count() < 100 || options.interval.count() > 60'000) {
    return Usage("--interval must be from 100ms to 60s");
  }
  if (options.deadline.count() <= 0) return Usage("--deadline must be above 0");
  if (words.empty()) return Usage("which command?");
  const std::string& command = words.front();
  if (command == "watch") {
    if (words.size() != 2) return Usage("watch takes one VM");
    return ExitCode(WatchCommand(options, words[1]));
  }
  if (command == "trace") {
    if (words.size() != 2) return Usage("trace takes one VM");
    return ExitCode(TraceCommand(options, words[1]));
  }
  if (command == "boost") {
    if (words.size() != 3 || (words[2] != "on" && words[2] != "off")) {
      return Usage("boost takes one VM, or all, and on or off");
    }
    return ExitCode(BoostCommand(options, words[1], words[2] == "on"));
  }
  if (words.size() != 1) return Usage(command + " takes no more words");
  if (command == "doctor") return DoctorCommand(options) ? 0 : 1;
  if (command == "vms") return ExitCode(ListCommand(options));
  if (command == "top") return ExitCode(TopCommand(options));
  return Usage("no command " + command);
}

}  // namespace
}  // namespace lockhost::cli

int main(int argc, char** argv) {
  const std::vector<char*> words = lockhost::ParseProgramFlags(argc, argv, lockhost::cli::kUsage);
  return lockhost::cli::Run({words.begin() + 1, words.end()});
}
