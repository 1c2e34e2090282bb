// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_DOCTOR_GUEST_FACTS_H_
#define LOCKHOST_CLIENT_CLI_DOCTOR_GUEST_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "agent/doctor/kernel_config.h"
#include "agent/doctor/roots.h"
#include "client/cli/doctor/cpuid.h"
#include "client/lock/lockhost.h"
#include "client/page/hint_page.h"
#include "client/page/thread_registration.h"

namespace lockhost::doctor {

// The guest agent's page, as it was when it was looked at.
struct HintPageFacts {
  absl::Status status;  // NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT: no such page
  uint32_t slots = 0;
  uint32_t mode = LOCKHOST_MODE_UNSPECIFIED;
  uint32_t path = LOCKHOST_PAGE_PATH_UNSPECIFIED;
  uint64_t generation = 0;
  uint64_t valid_until_ns = 0;  // CLOCK_MONOTONIC; 0: never had a lease
  uint64_t looked_at_ns = 0;    // CLOCK_MONOTONIC
  // What the agent says of thread pages; UNKNOWN where the page is a file.
  lockhost_threads_offer threads = LOCKHOST_THREADS_UNKNOWN;
};

// What this shell's environment tells the lock library.
struct EnvironmentFacts {
  bool hints_off = false;  // LOCKHOST_HINTS=off
  std::string hint_page;   // LOCKHOST_HINT_PAGE, or the socket that hands it over
  // What the library itself says in this process; empty: it was not asked.
  lockhost_status_code_t lock_status = LOCKHOST_STATUS_NOT_ATTACHED;
  std::string lock_description = {};
};

struct GuestFacts {
  HypervisorFacts hypervisor;
  std::optional<KernelConfig> config;
  std::string command_line;       // of the kernel
  std::string spinlock_log;       // the kernel's own word; empty: not to be had
  uint32_t possible_cpus = 0;     // 0: unknown
  std::optional<double> steal_s;  // of all CPUs since boot
  HintPageFacts page;
  EnvironmentFacts environment;
};

// Steal time of the "cpu" line of /proc/stat, in clock ticks. Pure.
std::optional<uint64_t> ParseStealTicks(std::string_view stat);

// The last line of a kernel log that says what became of PV spinlocks. Pure.
std::string FindSpinlockLine(std::string_view log);

// `kernel_log`: text of the kernel's log, or empty.
GuestFacts ReadGuestFacts(const Roots& roots, const Cpuid& cpuid, std::string_view kernel_log,
                          const EnvironmentFacts& environment, uint64_t now_ns);

HintPageFacts ReadHintPage(const std::string& path, uint64_t now_ns);
EnvironmentFacts ReadEnvironment();
// Empty when this user may not read it.
std::string ReadKernelLog();

}  // namespace lockhost::doctor

#endif  // LOCKHOST_CLIENT_CLI_DOCTOR_GUEST_FACTS_H_
