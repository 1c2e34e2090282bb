// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/doctor/host_checks.h"
#include "client/page/hint_page.h"

namespace lockhost::doctor {
namespace {

Check AgentCheck(const AgentFacts& agent) {
  const bool denied = absl::IsPermissionDenied(agent.reached) ||
                      (agent.reached.ok() && absl::IsPermissionDenied(agent.answer));
  if (denied && !agent.source.empty()) {
    return Ok("agent", "runs, says lockhostd; this user may not ask it itself");
  }
  if (denied) {
    return Problem("agent", "cannot tell: this user may not ask the agent",
                   "run lockhost doctor as root");
  }
  if (!agent.reached.ok()) {
    return Problem("agent", absl::StrCat("lockhost-agent does not run: ", agent.reached.message()),
                   "systemctl enable --now lockhost-agent");
  }
  if (!agent.answer.ok()) {
    return Problem("agent", absl::StrCat("listens but does not answer: ", agent.answer.message()),
                   "systemctl restart lockhost-agent");
  }
  const std::string pid = agent.pid > 0 ? absl::StrCat(" (pid ", agent.pid, ")") : "";
  const std::string sees = agent.vms == 0
                               ? "no VM"
                               : absl::StrCat(agent.vms, agent.vms == 1 ? " VM" : " VMs", " with ",
                                              agent.vcpus, agent.vcpus == 1 ? " vCPU" : " vCPUs");
  return Ok("agent", absl::StrCat("runs", pid, ", sees ", sees));
}

Check AttemptCheck(const HostFacts& facts) {
  if (!facts.bpf_attempt) {
    return Warning("BPF", "cannot tell: no agent was heard, and it was not tried here");
  }
  if (facts.bpf_attempt->ok()) {
    return Ok("BPF", "tried: the agent's programs load and attach on this kernel");
  }
  if (absl::IsPermissionDenied(*facts.bpf_attempt)) {
    return Warning(
        "BPF",
        absl::StrCat("cannot tell: this user may not load it (", facts.bpf_attempt->message(), ")"),
        "run lockhost doctor as root");
  }
  return Problem("BPF", absl::StrCat("the kernel refuses it: ", facts.bpf_attempt->message()),
                 "see the lines above; until then the agent uses perf events or /proc, and its "
                 "hints are milliseconds late");
}

Check SourceCheck(const HostFacts& facts) {
  const AgentFacts& agent = facts.agent;
  if (agent.source.empty()) return AttemptCheck(facts);
  if (agent.source == "bpf") return Ok("BPF", "the agent uses it: states change at the switch");
  const std::string why = agent.reason.empty() ? "it was told to" : agent.reason;
  return Problem("BPF", absl::StrCat("the agent uses ", agent.source, " instead: ", why),
                 "see the lines above, then systemctl restart lockhost-agent");
}

Check ServerCheck(const absl::Status& server, const std::string& socket) {
  if (server.ok()) return Ok("lockhostd", "runs and answers");
  if (absl::IsPermissionDenied(server)) {
    return Problem("lockhostd", absl::StrCat("cannot tell: this user may not open ", socket),
                   "join the group of that socket (lockhost), or run as root");
  }
  const std::string why =
      absl::IsNotFound(server) ? absl::StrCat("no ", socket) : std::string(server.message());
  return Problem("lockhostd", absl::StrCat("guests are not served: ", why),
                 "systemctl enable --now lockhostd");
}

Check StatsFdCheck(const std::vector<QemuFacts>& qemus) {
  uint32_t visible = 0;
  uint32_t with_stats = 0;
  for (const QemuFacts& qemu : qemus) {
    if (!qemu.fds_readable || qemu.vcpu_fds == 0) continue;
    ++visible;
    if (qemu.stats_fds > 0) ++with_stats;
  }
  if (visible == 0) return Ok("QEMU statistics", "no QEMU with KVM that this user can look into");
  if (with_stats == visible) {
    return Ok("QEMU statistics", "every QEMU keeps KVM's statistics open (8.1 or later)");
  }
  return Warning("QEMU statistics",
                 absl::StrCat(visible - with_stats, " of ", visible,
                              " QEMUs keep no statistics open: older than 8.1. Hints flow; KVM's "
                              "own counters of these VMs stay unknown"),
                 "restart these VMs with QEMU 8.1 or later");
}

Check ThreadNameCheck(const HostFacts& facts) {
  const auto unnamed = std::count_if(facts.qemus.begin(), facts.qemus.end(),
                                     [](const QemuFacts& qemu) { return qemu.named_threads == 0; });
  if (facts.qemus.empty()) return Ok("QEMU threads", "no QEMU runs");
  if (unnamed == 0) return Ok("QEMU threads", "all vCPU threads carry names (debug-threads)");
  // BPF knows threads by what KVM says, the other sources by their names alone.
  return {BpfWorks(facts) ? Verdict::kOk : Verdict::kProblem, "QEMU threads",
          absl::StrCat("in ", unnamed, " of ", facts.qemus.size(),
                       " QEMUs vCPU threads carry no names; BPF needs none, other sources do"),
          BpfWorks(facts) ? "" : "start QEMU with -name guest=NAME,debug-threads=on"};
}

// What the agent measured; without it, what the numbers alone say.
Check OvercommitCheck(const HostFacts& facts) {
  const char* const name = "overcommit";
  const uint32_t vcpus = std::max(facts.agent.vcpus, facts.vcpu_fds);
  const uint32_t cpus = facts.kernel.online_cpus;
  if (cpus == 0) return Warning(name, "cannot tell how many CPUs are online");
  if (vcpus == 0 && facts.agent.source.empty() &&
      !HasCapability(facts.privileges.capabilities, kCapSysPtrace)) {
    return Warning(name, "cannot tell: this user does not see how many vCPUs there are",
                   "run lockhost doctor as root");
  }
  const std::string counts = absl::StrCat(vcpus, vcpus == 1 ? " vCPU" : " vCPUs", " on ", cpus,
                                          cpus == 1 ? " CPU" : " CPUs");
  if (facts.agent.load) {
    std::string measured =
        absl::StrFormat("%s; in the last 10 s each CPU had %.2f threads that ran or wanted to",
                        counts, facts.agent.load->overcommit);
    if (vcpus > 0) {
      absl::StrAppendFormat(&measured,
                            ", and vCPUs that wanted a CPU had none for %.1f%% of the time",
                            100 * facts.agent.load->steal_ratio);
    }
    return Ok(name, measured);
  }
  return Ok(name, counts + (vcpus > cpus ? ": they have to share, hints matter"
                                         : ": there is one for each, unless others need it"));
}

Check ModeCheck(const LoadFacts& load) {
  return Ok("lock mode", absl::StrFormat("VMs by what is advised: %u overcommitted, %u dedicated, "
                                         "%u not known yet",
                                         load.vms_by_mode[LOCKHOST_MODE_OVERCOMMITTED],
                                         load.vms_by_mode[LOCKHOST_MODE_DEDICATED],
                                         load.vms_by_mode[LOCKHOST_MODE_UNSPECIFIED]));
}

}  // namespace

Checks ServiceChecks(const HostFacts& facts, const absl::Status& server,
                     const std::string& server_socket) {
  Checks checks = {
      AgentCheck(facts.agent),   SourceCheck(facts),     ServerCheck(server, server_socket),
      StatsFdCheck(facts.qemus), ThreadNameCheck(facts), OvercommitCheck(facts)};
  if (facts.agent.load && facts.agent.vms > 0) checks.push_back(ModeCheck(*facts.agent.load));
  return checks;
}

}  // namespace lockhost::doctor
