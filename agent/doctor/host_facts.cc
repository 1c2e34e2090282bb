// SPDX-License-Identifier: Apache-2.0
#include "agent/doctor/host_facts.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/doctor/proc_facts.h"
#include "agent/doctor/switch_signature.h"
#include "agent/kernel/kvm_offsets.h"
#include "agent/kernel/proc_parse.h"
#include "agent/kernel/procfs.h"

namespace lockhost::doctor {
namespace {

namespace fs = std::filesystem;

// The pid namespace that the kernel boots with (PROC_PID_INIT_INO of linux/proc_ns.h).
constexpr char kInitialPidNamespace[] = "pid:[4026531836]";

Access AccessOf(const std::string& path) {
  if (access(path.c_str(), R_OK | W_OK) == 0) return Access::kUsable;
  return errno == ENOENT || errno == ENOTDIR ? Access::kMissing : Access::kDenied;
}

std::string LinkTarget(const fs::path& path) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  return error ? "" : target.string();
}

std::optional<int> ReadNumber(const std::string& path) {
  int number = 0;
  if (!absl::SimpleAtoi(ReadLine(path), &number)) return std::nullopt;
  return number;
}

// Without scheduling statistics every number of the file stays 0; a process that reads
// it has been put on a CPU at least once.
bool CountsRunDelay(const Roots& roots) {
  const auto seen = agent::ParseSchedstat(ReadText(absl::StrCat(roots.procfs, "/self/schedstat")));
  return seen.has_value() && (seen->runs > 0 || seen->run_ns > 0);
}

struct VcpuFds {
  bool readable = false;
  uint32_t vcpus = 0;
  uint32_t stats = 0;
};

VcpuFds FindVcpuFds(const Roots& roots, pid_t pid) {
  VcpuFds found;
  std::error_code error;
  fs::directory_iterator entries(absl::StrCat(roots.procfs, "/", pid, "/fd"), error);
  if (error) return found;
  found.readable = true;
  for (; entries != fs::directory_iterator(); entries.increment(error)) {
    const std::string target = LinkTarget(entries->path());
    if (agent::ParseVcpuFdLink(target)) ++found.vcpus;
    if (absl::StartsWith(target, "anon_inode:kvm-vcpu-stats")) ++found.stats;
    if (error) break;
  }
  return found;
}

}  // namespace

KernelFacts ReadKernelFacts(const Roots& roots) {
  KernelFacts facts;
  const std::string btf = absl::StrCat(roots.sysfs, "/kernel/btf");
  facts.release = ReadLine(absl::StrCat(roots.procfs, "/sys/kernel/osrelease"));
  facts.has_btf = access(absl::StrCat(btf, "/vmlinux").c_str(), R_OK) == 0;
  const auto offsets = agent::ReadKvmOffsets(btf);
  facts.kvm_types = offsets.status();
  facts.switch_signature = CheckSwitchSignature(btf);
  facts.config = ReadKernelConfig(roots, facts.release);
  facts.kvm_device = AccessOf(absl::StrCat(roots.dev, "/kvm"));
  for (const char* module : {"kvm_intel", "kvm_amd", "kvm_pvm"}) {
    if (access(absl::StrCat(roots.sysfs, "/module/", module).c_str(), F_OK) == 0) {
      facts.kvm_modules.emplace_back(module);
    }
  }
  facts.lockdown = ParseLockdown(ReadLine(absl::StrCat(roots.sysfs, "/kernel/security/lockdown")));
  facts.counts_run_delay = CountsRunDelay(roots);
  facts.rt_runtime_us = ReadNumber(absl::StrCat(roots.procfs, "/sys/kernel/sched_rt_runtime_us"));
  facts.rt_period_us = ReadNumber(absl::StrCat(roots.procfs, "/sys/kernel/sched_rt_period_us"));
  facts.online_cpus = CountCpus(ReadLine(absl::StrCat(roots.sysfs, "/devices/system/cpu/online")));
  return facts;
}

PrivilegeFacts ReadPrivilegeFacts(const Roots& roots, const std::string& pin_directory) {
  PrivilegeFacts facts;
  const std::string sysctl = absl::StrCat(roots.procfs, "/sys/kernel/");
  facts.capabilities =
      ParseCapabilities(ReadText(absl::StrCat(roots.procfs, "/self/status"))).value_or(0);
  facts.unprivileged_bpf_disabled = ReadNumber(sysctl + "unprivileged_bpf_disabled");
  facts.perf_event_paranoid = ReadNumber(sysctl + "perf_event_paranoid");
  facts.initial_pid_namespace =
      LinkTarget(absl::StrCat(roots.procfs, "/self/ns/pid")) == kInitialPidNamespace;
  const std::string mounts = ReadText(absl::StrCat(roots.procfs, "/self/mounts"));
  if (const auto proc = FindMount(mounts, "proc", "/proc")) facts.hidepid = ParseHidepid(*proc);
  facts.has_bpffs =
      FindMount(mounts, "bpf", fs::path(pin_directory).parent_path().string()).has_value() ||
      FindMount(mounts, "bpf", pin_directory).has_value();
  return facts;
}

std::vector<QemuFacts> FindQemus(const Roots& roots) {
  std::vector<QemuFacts> found;
  const auto procfs = agent::Procfs::Open(roots.procfs);
  if (!procfs.ok()) return found;
  for (const pid_t pid : procfs->Processes()) {
    if (procfs->Describe(pid).vmm != "qemu") continue;
    const VcpuFds fds = FindVcpuFds(roots, pid);
    QemuFacts qemu{pid, fds.readable, fds.vcpus, fds.stats, 0};
    for (const pid_t tid : procfs->Threads(pid)) {
      if (agent::ParseVcpuThreadName(procfs->ThreadName(pid, tid))) ++qemu.named_threads;
    }
    found.push_back(qemu);
  }
  return found;
}

uint32_t CountVcpuFds(const Roots& roots) {
  uint32_t count = 0;
  const auto procfs = agent::Procfs::Open(roots.procfs);
  if (!procfs.ok()) return 0;
  for (const pid_t pid : procfs->Processes()) count += FindVcpuFds(roots, pid).vcpus;
  return count;
}

}  // namespace lockhost::doctor
