// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/doctor/host_checks.h"

namespace lockhost::doctor {
namespace {

// CAP_SYS_ADMIN contains what CAP_BPF and CAP_PERFMON were later taken out of.
std::vector<std::string> Missing(uint64_t set) {
  std::vector<std::string> missing;
  const bool admin = HasCapability(set, kCapSysAdmin);
  if (!admin && !HasCapability(set, kCapBpf)) missing.emplace_back("CAP_BPF");
  if (!admin && !HasCapability(set, kCapPerfmon)) missing.emplace_back("CAP_PERFMON");
  if (!HasCapability(set, kCapSysPtrace)) missing.emplace_back("CAP_SYS_PTRACE");
  if (!HasCapability(set, kCapDacReadSearch)) missing.emplace_back("CAP_DAC_READ_SEARCH");
  return missing;
}

Check CapabilityCheck(const HostFacts& facts) {
  const bool of_agent = facts.agent.capabilities.has_value();
  const std::string who = of_agent ? "the agent" : "this user";
  const std::vector<std::string> missing =
      Missing(of_agent ? *facts.agent.capabilities : facts.privileges.capabilities);
  if (missing.empty())
    return Ok("capabilities",
              absl::StrCat(who, " has all that ", of_agent ? "it" : "the agent", " needs"));
  const std::string lacks = absl::StrCat(who, " lacks ", absl::StrJoin(missing, ", "));
  if (of_agent) {
    return {BpfWorks(facts) ? Verdict::kWarning : Verdict::kProblem, "capabilities", lacks,
            "start the agent by its unit: systemctl start lockhost-agent"};
  }
  return Warning("capabilities", lacks + ": not everything can be seen",
                 "run lockhost doctor as root");
}

Check UnprivilegedBpfCheck(const PrivilegeFacts& facts) {
  if (!facts.unprivileged_bpf_disabled) {
    return Warning("BPF by users", "cannot tell whether unprivileged BPF is off");
  }
  if (*facts.unprivileged_bpf_disabled != 0) {
    return Ok("BPF by users", absl::StrCat("off (kernel.unprivileged_bpf_disabled = ",
                                           *facts.unprivileged_bpf_disabled, ")"));
  }
  return Warning("BPF by users",
                 "kernel.unprivileged_bpf_disabled = 0: whoever is handed a table could load a "
                 "program that writes it",
                 "sysctl kernel.unprivileged_bpf_disabled=2");
}

Check PerfCheck(const PrivilegeFacts& facts) {
  if (!facts.perf_event_paranoid) {
    return Warning("perf events", "cannot tell: no kernel.perf_event_paranoid");
  }
  return Ok("perf events", absl::StrCat("kernel.perf_event_paranoid = ", *facts.perf_event_paranoid,
                                        ", which does not bind an agent with CAP_PERFMON"));
}

Check NamespaceCheck(const HostFacts& facts) {
  if (facts.privileges.initial_pid_namespace) return Ok("pid namespace", "the host's own");
  return {BpfWorks(facts) ? Verdict::kWarning : Verdict::kProblem, "pid namespace",
          "not the host's: pids of VMs mean something else here",
          "run the agent in the host's pid namespace (docker run --pid=host, hostPID: true)"};
}

Check HidepidCheck(const PrivilegeFacts& facts) {
  const std::string& mode = facts.hidepid;
  if (mode.empty() || mode == "0" || mode == "off") {
    return Ok("hidepid", "off: every process can be seen");
  }
  if (HasCapability(facts.capabilities, kCapSysPtrace)) {
    return Ok("hidepid", absl::StrCat("hidepid=", mode, ", but CAP_SYS_PTRACE sees through it"));
  }
  return Warning("hidepid",
                 absl::StrCat("hidepid=", mode,
                              ": an agent without CAP_SYS_PTRACE sees only its "
                              "own user's VMs"),
                 "give the agent CAP_SYS_PTRACE, or mount /proc with gid= of its group");
}

Check MountCheck(const PrivilegeFacts& facts) {
  if (!facts.has_bpffs) {
    return Warning("BPF pins",
                   "no BPF file system for the pins: hints stop while the agent restarts",
                   "mount -t bpf bpf /sys/fs/bpf");
  }
  return Ok("BPF pins", "a BPF file system is mounted: BPF goes on while the agent restarts");
}

}  // namespace

Checks PrivilegeChecks(const HostFacts& facts) {
  const PrivilegeFacts& privileges = facts.privileges;
  return {CapabilityCheck(facts), UnprivilegedBpfCheck(privileges), PerfCheck(privileges),
          NamespaceCheck(facts),  HidepidCheck(privileges),         MountCheck(privileges)};
}

}  // namespace lockhost::doctor
