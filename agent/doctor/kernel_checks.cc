// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/doctor/host_checks.h"

namespace lockhost::doctor {
namespace {

Verdict Obstacle(const HostFacts& facts) {
  return BpfWorks(facts) ? Verdict::kWarning : Verdict::kProblem;
}

Check KvmCheck(const KernelFacts& kernel) {
  const std::string modules =
      kernel.kvm_modules.empty() ? "built in" : absl::StrJoin(kernel.kvm_modules, ", ");
  switch (kernel.kvm_device) {
    case Access::kUsable:
      return Ok("KVM", absl::StrCat("/dev/kvm can be used (", modules, ")"));
    case Access::kDenied:
      return Ok("KVM", absl::StrCat("/dev/kvm is there (", modules,
                                    "); this user may not open it, and need not"));
    case Access::kMissing:
      break;
  }
  return Problem("KVM", "no /dev/kvm: this host runs no VM with KVM",
                 "modprobe kvm_intel or kvm_amd; if that fails, switch virtualisation on in the "
                 "firmware, or nested virtualisation in the hypervisor below");
}

Check BtfCheck(const HostFacts& facts) {
  const KernelFacts& kernel = facts.kernel;
  if (!kernel.has_btf) {
    return {Obstacle(facts), "kernel types", "no /sys/kernel/btf/vmlinux: BPF cannot be used",
            "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y"};
  }
  if (!kernel.kvm_types.ok()) {
    return {Obstacle(facts), "kernel types", std::string(kernel.kvm_types.message()),
            "modprobe kvm, and see that CONFIG_DEBUG_INFO_BTF_MODULES=y"};
  }
  return Ok("kernel types", "BTF describes the kernel and its KVM");
}

Check SwitchCheck(const HostFacts& facts) {
  const absl::Status& signature = facts.kernel.switch_signature;
  if (signature.ok())
    return Ok("sched_switch", "has the arguments that the agent's BPF programs expect");
  if (absl::IsFailedPrecondition(signature)) {
    return {Obstacle(facts), "sched_switch", std::string(signature.message()),
            "boot Linux 6.0 or later"};
  }
  return Warning("sched_switch", absl::StrCat("cannot tell: ", signature.message()));
}

Check ConfigCheck(const HostFacts& facts) {
  if (!facts.kernel.config) {
    return Warning("kernel config",
                   absl::StrCat("cannot tell: neither /proc/config.gz nor /boot/config-",
                                facts.kernel.release, " can be read"));
  }
  std::vector<std::string> missing;
  for (const char* option : {"CONFIG_BPF_SYSCALL", "CONFIG_DEBUG_INFO_BTF",
                             "CONFIG_PREEMPT_NOTIFIERS", "CONFIG_SCHED_INFO"}) {
    if (!facts.kernel.config->Has(option)) missing.emplace_back(option);
  }
  if (missing.empty()) return Ok("kernel config", "everything that the agent needs is built in");
  return {Obstacle(facts), "kernel config", absl::StrCat("without ", absl::StrJoin(missing, ", ")),
          absl::StrCat("boot a kernel built with ", missing.size() == 1 ? "it" : "them")};
}

Check LockdownCheck(const HostFacts& facts) {
  const std::string& mode = facts.kernel.lockdown;
  if (mode.empty() && BpfWorks(facts)) {
    return Ok("lockdown", "not shown by this kernel; BPF works, so nothing needed is forbidden");
  }
  if (mode.empty()) {
    return Warning("lockdown", "cannot tell: no /sys/kernel/security/lockdown",
                   "mount -t securityfs securityfs /sys/kernel/security, and ask again");
  }
  if (mode == "none") return Ok("lockdown", "off: forbids nothing");
  if (mode == "confidentiality") {
    return {Obstacle(facts), "lockdown",
            "confidentiality: BPF programs may not read kernel memory, so the agent cannot use "
            "them",
            "boot with lockdown=integrity, or without lockdown="};
  }
  return Ok("lockdown", absl::StrCat(mode, ": BPF may still read what the agent needs"));
}

Check StealCheck(const KernelFacts& kernel) {
  if (kernel.counts_run_delay)
    return Ok("steal time", "the kernel counts how long threads wait for a CPU");
  return Problem("steal time", "/proc/self/schedstat says nothing: steal time reads as 0",
                 "boot a kernel built with CONFIG_SCHED_INFO (by CONFIG_SCHEDSTATS=y)");
}

}  // namespace

bool BpfWorks(const HostFacts& facts) {
  return facts.agent.source == "bpf" || (facts.bpf_attempt && facts.bpf_attempt->ok());
}

Checks KernelChecks(const HostFacts& facts) {
  return {KvmCheck(facts.kernel), BtfCheck(facts),      SwitchCheck(facts),
          ConfigCheck(facts),     LockdownCheck(facts), StealCheck(facts.kernel)};
}

}  // namespace lockhost::doctor
