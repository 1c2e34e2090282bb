// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_VMM_H_
#define LOCKHOST_AGENT_KERNEL_VMM_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// What names and command lines tell of VMMs. Pure, thread-safe. All of it is chosen by
// the VMM (or whoever looks like one), so it identifies nothing that matters for trust.
namespace lockhost::agent {

// vCPU id of a thread with this name, as the known VMMs name them: "CPU 3/KVM" and
// "CPU 3/TCG" (QEMU with debug-threads), "fc_vcpu 3" (Firecracker), "vcpu3" (Cloud
// Hypervisor), "crosvm_vcpu3", "kvm-vcpu-3" (kvmtool), "lab-vcpu 3".
std::optional<uint32_t> ParseVcpuThreadName(std::string_view name);

// vCPU id of a /proc/PID/fd link: "anon_inode:kvm-vcpu:3".
std::optional<uint32_t> ParseVcpuFdLink(std::string_view target);

// What executes the guest's instructions.
enum class Accelerator : uint8_t {
  kUnknown,
  kKvm,
  kTcg,  // QEMU's translator: its vCPUs are threads like others, KVM knows none of them
};
// "kvm", "tcg", or empty.
std::string_view AcceleratorName(Accelerator accelerator);

// The accelerator that a thread of this name shows. A name is a claim, not a proof.
Accelerator AcceleratorOfThreadName(std::string_view name);

// What a VMM's name and arguments tell. Empty or 0: not known.
struct VmmFacts {
  // "qemu", "firecracker", "cloud-hypervisor", "crosvm", "kvmtool", "lab"
  std::string vmm;
  std::string name;
  std::string uuid;
  uint32_t vsock_cid = 0;
  // Unknown also where several are named, of which the VMM takes the first that works.
  Accelerator accelerator = Accelerator::kUnknown;
  uint64_t memory_bytes = 0;  // at start: ballooning and hot-plug are not seen

  bool operator==(const VmmFacts&) const = default;
};
// `text` with whatever is not printable ASCII replaced: facts go into logs and labels.
std::string PrintableFact(std::string_view text);

VmmFacts DescribeVmm(std::string_view comm, std::span<const std::string_view> arguments);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_VMM_H_
