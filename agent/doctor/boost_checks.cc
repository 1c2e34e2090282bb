// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/doctor/host_checks.h"

namespace lockhost::doctor {
namespace {

// Boosts of a VM and of the host end by themselves long before; this is for all real-time
// threads of a CPU together.
constexpr int kLeastRealTimePercent = 20;

std::string WhatToChange(const AgentFacts& agent) {
  if (agent.capabilities && !HasCapability(*agent.capabilities, kCapSysNice)) {
    return "give the agent CAP_SYS_NICE, as its unit does: systemctl start lockhost-agent";
  }
  if (agent.boosts->reason == "switched off") return "start the agent with --boost=auto";
  return "see what the agent says of boosts: journalctl -u lockhost-agent";
}

Check MechanismCheck(const AgentFacts& agent) {
  const char* const name = "boosts";
  if (!agent.boosts) return Warning(name, "cannot tell: the agent was not heard");
  const BoostFacts& boosts = *agent.boosts;
  const std::string why = boosts.reason.empty() ? "" : absl::StrCat(": ", boosts.reason);
  if (boosts.mechanism == "none" || boosts.mechanism.empty()) {
    return Warning(name, absl::StrCat("a preempted lock holder waits for its turn", why),
                   WhatToChange(agent));
  }
  const std::string what =
      absl::StrCat("preempted lock holders run again at once, by ", boosts.mechanism);
  return boosts.reason.empty() ? Ok(name, what)
                               : Warning(name, absl::StrCat(what, why), WhatToChange(agent));
}

Check SwitchCheck(const AgentFacts& agent) {
  const uint32_t off = agent.boosts->vms_off;
  if (off == 0) return Ok("boost switch", "off for no VM");
  return Ok("boost switch",
            absl::StrCat("off for ", off, " of ", agent.vms, agent.vms == 1 ? " VM" : " VMs",
                         " (lockhost boost VM on)"));
}

Check PaybackCheck(const AgentFacts& agent) {
  const uint32_t unpaid = agent.boosts->vms_unpaid;
  if (unpaid == 0) return Ok("boost payback", "boosted time is collected from every VM");
  return Warning("boost payback",
                 absl::StrCat(unpaid, unpaid == 1 ? " VM has" : " VMs have",
                              " a CPU cgroup to themselves, as libvirt makes them: nice collects "
                              "nothing there, so they are boosted a fifth as much"));
}

Check ThrottlingCheck(const KernelFacts& kernel) {
  const char* const name = "RT throttling";
  constexpr char kAdvice[] = "sysctl kernel.sched_rt_runtime_us=950000";
  if (!kernel.rt_runtime_us || kernel.rt_period_us.value_or(0) <= 0) {
    return Warning(name, "cannot tell: no kernel.sched_rt_runtime_us");
  }
  if (*kernel.rt_runtime_us < 0) {
    return Warning(name,
                   "kernel.sched_rt_runtime_us = -1: nothing ends a real-time thread that runs "
                   "wild. Boosts end by themselves; others may not",
                   kAdvice);
  }
  const double percent = 100.0 * *kernel.rt_runtime_us / *kernel.rt_period_us;
  std::string finding =
      absl::StrFormat("real-time threads may have %.0f%% of each CPU's time", percent);
  if (percent >= kLeastRealTimePercent) return Ok(name, std::move(finding));
  return Warning(name, absl::StrCat(finding, ": boosts may come late, or not at all"), kAdvice);
}

}  // namespace

Checks BoostChecks(const HostFacts& facts) {
  Checks checks = {MechanismCheck(facts.agent), ThrottlingCheck(facts.kernel)};
  if (facts.agent.boosts && facts.agent.boosts->mechanism != "none" && facts.agent.vms > 0) {
    checks.push_back(SwitchCheck(facts.agent));
    checks.push_back(PaybackCheck(facts.agent));
  }
  return checks;
}

}  // namespace lockhost::doctor
