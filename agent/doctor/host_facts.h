// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DOCTOR_HOST_FACTS_H_
#define LOCKHOST_AGENT_DOCTOR_HOST_FACTS_H_

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "agent/doctor/kernel_config.h"
#include "agent/doctor/roots.h"

namespace lockhost::doctor {

inline constexpr uint32_t kCapDacReadSearch = 2;
inline constexpr uint32_t kCapSysPtrace = 19;
inline constexpr uint32_t kCapSysAdmin = 21;
inline constexpr uint32_t kCapSysNice = 23;
inline constexpr uint32_t kCapPerfmon = 38;
inline constexpr uint32_t kCapBpf = 39;

inline bool HasCapability(uint64_t set, uint32_t capability) {
  return (set >> capability & 1) != 0;
}

enum class Access { kMissing, kDenied, kUsable };

// What the kernel is and allows.
struct KernelFacts {
  std::string release;
  bool has_btf = false;
  absl::Status kvm_types;         // of ReadKvmOffsets()
  absl::Status switch_signature;  // of CheckSwitchSignature()
  std::optional<KernelConfig> config;
  Access kvm_device = Access::kMissing;
  std::vector<std::string> kvm_modules;  // "kvm_intel", ...; empty also when built in
  std::string lockdown;                  // mode in force; empty: not to be seen
  bool counts_run_delay = false;         // threads' waiting time, i.e. steal time
  uint32_t online_cpus = 0;
  // What real-time threads may have of each period; runtime -1: all of it.
  std::optional<int> rt_runtime_us;
  std::optional<int> rt_period_us;
};

// What this process, and with it an agent started likewise, may do.
struct PrivilegeFacts {
  uint64_t capabilities = 0;  // effective, of this process
  std::optional<int> unprivileged_bpf_disabled;
  std::optional<int> perf_event_paranoid;
  bool initial_pid_namespace = false;
  std::string hidepid;  // option of the proc mount; "" and "0": nothing is hidden
  bool has_bpffs = false;
};

// A QEMU process.
struct QemuFacts {
  pid_t pid = 0;
  bool fds_readable = false;
  uint32_t vcpu_fds = 0;       // 0 with fds_readable: plain TCG
  uint32_t stats_fds = 0;      // statistics descriptors that it keeps open (QEMU 8.1)
  uint32_t named_threads = 0;  // vCPU threads known by name (debug-threads=on)
};

// The host's load, mean of the last ten seconds.
struct LoadFacts {
  double overcommit = 0;                  // runnable threads, vCPUs and others, for each CPU
  double steal_ratio = 0;                 // of the time vCPUs wanted a CPU, the share without
  std::array<uint32_t, 3> vms_by_mode{};  // that the agent advises; index: lockhost_mode
};

// Of the agent's boosts.
struct BoostFacts {
  std::string mechanism;    // "fifo", "nice"; "none": nobody is boosted
  std::string reason;       // why not a better one
  uint32_t vms_off = 0;     // VMs whose boosts are switched off
  uint32_t vms_unpaid = 0;  // VMs from which nothing can be collected
};

// What the running agent says, or lockhostd for it (source, reason, VMs and vCPUs alone) to
// a user who may not ask the agent.
struct AgentFacts {
  absl::Status reached;                  // connecting to its socket
  absl::Status answer;                   // what came of asking; meaningful if reached
  std::string source;                    // in use
  std::string reason;                    // why not a better one
  pid_t pid = 0;                         // 0: unknown
  std::optional<uint64_t> capabilities;  // effective
  uint32_t vms = 0;
  uint32_t vcpus = 0;
  std::optional<LoadFacts> load;     // absent before the agent has looked; 0 in its first second
  std::optional<BoostFacts> boosts;  // likewise
};

struct HostFacts {
  KernelFacts kernel;
  PrivilegeFacts privileges;
  std::vector<QemuFacts> qemus;
  uint32_t vcpu_fds = 0;  // of all processes, as far as they can be seen
  AgentFacts agent;
  // A real load of the agent's BPF programs, tried where no agent answered.
  std::optional<absl::Status> bpf_attempt;
};

// Reads what the files say; nothing is changed. `pin_directory`: the agent's.
KernelFacts ReadKernelFacts(const Roots& roots);
PrivilegeFacts ReadPrivilegeFacts(const Roots& roots, const std::string& pin_directory);
std::vector<QemuFacts> FindQemus(const Roots& roots);
uint32_t CountVcpuFds(const Roots& roots);

// Asks the agent at `socket`, as a subscriber would.
AgentFacts AskAgent(const Roots& roots, const std::string& socket,
                    std::chrono::milliseconds patience);

// Loads and attaches the agent's BPF programs, pins nothing, and takes them out again: the
// one way to know that the kernel takes them.
absl::Status TryBpf(const Roots& roots);

}  // namespace lockhost::doctor

#endif  // LOCKHOST_AGENT_DOCTOR_HOST_FACTS_H_
