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
// Hypervisor), "crosvm_vcpu3", "lab-vcpu 3".
std::optional<uint32_t> ParseVcpuThreadName(std::string_view name);

// vCPU id of a /proc/PID/fd link: "anon_inode:kvm-vcpu:3".
std::optional<uint32_t> ParseVcpuFdLink(std::string_view target);

// What a VMM's name and arguments tell. Empty or 0: not known.
struct VmmFacts {
  std::string vmm;  // "qemu", "firecracker", "cloud-hypervisor", "crosvm", "lab"
  std::string name;
  std::string uuid;
  uint32_t vsock_cid = 0;

  bool operator==(const VmmFacts&) const = default;
};
VmmFacts DescribeVmm(std::string_view comm, std::span<const std::string_view> arguments);

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_VMM_H_
