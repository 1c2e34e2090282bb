// SPDX-License-Identifier: Apache-2.0
#include "client/cli/doctor/cpuid.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include <cstring>

namespace lockhost::doctor {
namespace {

constexpr uint32_t kFirstBase = 0x40000000;
constexpr uint32_t kEndOfBases = 0x40010000;
constexpr uint32_t kBaseStep = 0x100;

// What is no text is left out: the bytes are the hypervisor's.
std::string Signature(const CpuidRegisters& leaf) {
  char bytes[12];
  memcpy(bytes, &leaf.ebx, 4);
  memcpy(bytes + 4, &leaf.ecx, 4);
  memcpy(bytes + 8, &leaf.edx, 4);
  std::string text;
  for (const char byte : bytes) {
    if (byte >= ' ' && byte <= '~') text += byte;
  }
  return text;
}

}  // namespace

CpuidRegisters NativeCpuid([[maybe_unused]] uint32_t leaf) {
  CpuidRegisters registers;
#if defined(__x86_64__) || defined(__i386__)
  __cpuid(leaf, registers.eax, registers.ebx, registers.ecx, registers.edx);
#endif
  return registers;
}

HypervisorFacts ReadHypervisor(const Cpuid& cpuid) {
  HypervisorFacts facts;
  facts.present = (cpuid(1).ecx >> 31) != 0;
  if (!facts.present) return facts;
  facts.signature = Signature(cpuid(kFirstBase));
  for (uint32_t base = kFirstBase; base < kEndOfBases; base += kBaseStep) {
    const std::string signature = Signature(cpuid(base));
    if (signature != "KVMKVMKVM") continue;
    const CpuidRegisters features = cpuid(base + 1);
    facts.signature = signature;
    facts.is_kvm = true;
    facts.features = features.eax;
    facts.hints = features.edx;
    break;
  }
  return facts;
}

}  // namespace lockhost::doctor
