// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_COMMANDS_H_
#define LOCKHOST_CLIENT_CLI_COMMANDS_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/doctor/roots.h"

// The commands of `lockhost`. They write to standard output; errors are returned for the
// caller to print. Not thread-safe.
namespace lockhost::cli {

struct Options {
  std::string socket;        // of HostService
  std::string agent_socket;  // of the agent's channel
  std::string pin_directory;
  doctor::Roots roots;
  std::chrono::milliseconds deadline{5000};
  std::chrono::milliseconds interval{1000};
  uint32_t count = 0;  // frames, messages or boosts; 0: until stopped
  bool json = false;
  bool host = false;
  bool guest = false;
};

absl::Status ListCommand(const Options& options);
absl::Status WatchCommand(const Options& options, const std::string& vm);
absl::Status TopCommand(const Options& options);

// Lets the host boost a VM's preempted lock holders, or not; "all": every VM's, also of those
// to come. Root alone may; it holds until the agent ends.
absl::Status BoostCommand(const Options& options, const std::string& vm, bool enabled);

// Prints the VM's boosts as they come, those that are still kept first.
absl::Status TraceCommand(const Options& options, const std::string& vm);

// Whether hints will flow.
bool DoctorCommand(const Options& options);

}  // namespace lockhost::cli

#endif  // LOCKHOST_CLIENT_CLI_COMMANDS_H_
