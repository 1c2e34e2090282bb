// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/doctor/guest_checks.h"

namespace lockhost::doctor {
namespace {

// QEMU's names, and what it switches on by itself, are those of target/i386/cpu.c and
// kvm-cpu.c; libvirt's elements those of its domain format.
constexpr char kEnableUnhalt[] =
    "QEMU: -cpu host, or -cpu MODEL,kvm-pv-unhalt=on, and no -overcommit cpu-pm=on. libvirt: "
    "<features><pvspinlock state='on'/></features>";
constexpr char kEnableSteal[] =
    "QEMU: no kvm-steal-time=off and no kvm=off in -cpu (it is on by default). libvirt: no "
    "<kvm><hidden state='on'/></kvm> in <features>";
constexpr char kEnableYield[] =
    "QEMU: -cpu host, or -cpu MODEL,kvm-pv-sched-yield=on. libvirt: <cpu "
    "mode='host-passthrough'/>";
constexpr char kDropDedicated[] =
    "on a host that overcommits, take it out. QEMU: no kvm-hint-dedicated=on in -cpu. libvirt: no "
    "<kvm><hint-dedicated state='on'/></kvm> in <features>";

Check PresenceCheck(const HypervisorFacts& hypervisor) {
  if (!hypervisor.present) {
    return Problem("hypervisor", "none: this is no guest, or its CPU hides it",
                   "run lockhost doctor --host on a hypervisor host");
  }
  if (hypervisor.is_kvm) return Ok("hypervisor", "KVM");
  return Warning("hypervisor", absl::StrCat("\"", hypervisor.signature,
                                            "\", not KVM: its own lock features are unknown here; "
                                            "lockhost does not need them"));
}

Check StealCheck(const GuestFacts& facts) {
  if (!facts.hypervisor.has_steal_time()) {
    return Warning("steal time", "not offered: the guest cannot see what it loses", kEnableSteal);
  }
  if (!facts.steal_s) return Warning("steal time", "offered, but /proc/stat does not show it");
  if (*facts.steal_s == 0) return Ok("steal time", "offered; nothing was stolen since boot");
  return Ok("steal time",
            absl::StrFormat("offered; vCPUs that wanted a CPU waited %.2f s for one since boot",
                            *facts.steal_s));
}

Check UnhaltCheck(const HypervisorFacts& hypervisor) {
  if (hypervisor.has_pv_unhalt()) {
    return Ok("PV_UNHALT", "offered: the kernel's own spinlocks can park a waiter");
  }
  return Warning("PV_UNHALT", "not offered: the kernel's own spinlocks cannot park a waiter",
                 kEnableUnhalt);
}

Check YieldCheck(const HypervisorFacts& hypervisor) {
  if (hypervisor.has_pv_sched_yield()) {
    return Ok("PV_SCHED_YIELD", "offered: who interrupts a preempted vCPU yields to it");
  }
  return Warning("PV_SCHED_YIELD", "not offered: who interrupts a preempted vCPU waits longer",
                 kEnableYield);
}

Check DedicatedCheck(const HypervisorFacts& hypervisor) {
  if (!hypervisor.says_dedicated()) {
    return Ok("HINTS_REALTIME", "not set: the host does not promise each vCPU a CPU");
  }
  return Warning("HINTS_REALTIME",
                 "set: the host promises each vCPU a CPU, so the kernel uses native spinlocks",
                 kDropDedicated);
}

bool HasParameter(const std::string& command_line, absl::string_view name) {
  const std::vector<absl::string_view> parameters = absl::StrSplit(command_line, ' ');
  return std::find(parameters.begin(), parameters.end(), name) != parameters.end();
}

// As kvm_spinlock_init() of the kernel (arch/x86/kernel/kvm.c) decides; used where its own
// log line can no longer be read.
Check SpinlocksByRule(const GuestFacts& facts) {
  const char* const name = "PV spinlocks";
  if (HasParameter(facts.command_line, "nopvspin")) {
    return Warning(name, "off: nopvspin is on the kernel's command line", "boot without nopvspin");
  }
  if (!facts.hypervisor.has_pv_unhalt()) {
    return Warning(name, "off: they need PV_UNHALT", "see PV_UNHALT");
  }
  if (facts.hypervisor.says_dedicated()) {
    return Warning(name, "off: the host promises each vCPU a CPU", "see HINTS_REALTIME");
  }
  if (!facts.config) return Warning(name, "cannot tell: neither kernel log nor config is readable");
  if (!facts.config->Has("CONFIG_KVM_GUEST") || !facts.config->Has("CONFIG_PARAVIRT_SPINLOCKS")) {
    return Warning(name, "off: the kernel was built without them",
                   "boot a kernel with CONFIG_KVM_GUEST=y and CONFIG_PARAVIRT_SPINLOCKS=y");
  }
  if (facts.possible_cpus == 1) return Ok(name, "off: there is one vCPU, which needs none");
  return Ok(name, "on, by the kernel's own rule; its log, which would say so, is not readable");
}

Check SpinlockCheck(const GuestFacts& facts) {
  if (facts.spinlock_log.empty()) return SpinlocksByRule(facts);
  if (absl::StrContains(facts.spinlock_log, "enabled")) {
    return Ok("PV spinlocks", "on, says the kernel's log");
  }
  Check check = SpinlocksByRule(facts);
  if (check.verdict == Verdict::kOk && facts.possible_cpus != 1) check.verdict = Verdict::kWarning;
  check.finding = absl::StrCat("off; the kernel's log says: ", facts.spinlock_log);
  return check;
}

}  // namespace

Checks HypervisorChecks(const GuestFacts& facts) {
  const HypervisorFacts& hypervisor = facts.hypervisor;
  Checks checks = {PresenceCheck(hypervisor)};
  if (!hypervisor.is_kvm) return checks;
  checks.push_back(StealCheck(facts));
  checks.push_back(UnhaltCheck(hypervisor));
  checks.push_back(YieldCheck(hypervisor));
  checks.push_back(DedicatedCheck(hypervisor));
  checks.push_back(SpinlockCheck(facts));
  return checks;
}

}  // namespace lockhost::doctor
