// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_DOCTOR_CPUID_H_
#define LOCKHOST_CLIENT_CLI_DOCTOR_CPUID_H_

#include <cstdint>
#include <functional>
#include <string>

namespace lockhost::doctor {

struct CpuidRegisters {
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
};
using Cpuid = std::function<CpuidRegisters(uint32_t leaf)>;

// The processor's own answer; zeros on other architectures than x86.
CpuidRegisters NativeCpuid(uint32_t leaf);

// What a hypervisor tells its guest (linux/Documentation/virt/kvm/x86/cpuid.rst).
struct HypervisorFacts {
  bool present = false;   // leaf 1, ECX bit 31
  std::string signature;  // "KVMKVMKVM", or the first one there is
  bool is_kvm = false;
  uint32_t features = 0;  // KVM's feature leaf, EAX
  uint32_t hints = 0;     // EDX

  bool has_steal_time() const { return (features >> 5 & 1) != 0; }
  bool has_pv_unhalt() const { return (features >> 7 & 1) != 0; }
  bool has_pv_sched_yield() const { return (features >> 13 & 1) != 0; }
  bool says_dedicated() const { return (hints & 1) != 0; }  // KVM_HINTS_REALTIME
};

// KVM may stand at a later base than 0x40000000, behind Hyper-V's leaves; bases are 0x100
// apart, as the kernel looks for them.
HypervisorFacts ReadHypervisor(const Cpuid& cpuid);

}  // namespace lockhost::doctor

#endif  // LOCKHOST_CLIENT_CLI_DOCTOR_CPUID_H_
