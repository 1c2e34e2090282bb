// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_KERNEL_KVM_OFFSETS_H_
#define LOCKHOST_AGENT_KERNEL_KVM_OFFSETS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct btf;

namespace lockhost::agent {

// Where the BPF programs find KVM's fields on the running kernel, in bytes from the
// start of struct kvm_vcpu.
struct KvmOffsets {
  uint32_t notifier = 0;  // preempt_notifier.link
  uint32_t kvm = 0;       // kvm
  uint32_t vcpu_id = 0;   // vcpu_id
  uint32_t blocking = 0;  // stat.generic.blocking

  bool operator==(const KvmOffsets&) const = default;
};

// Offset of a member such as "stat.generic.blocking", members of anonymous structs
// included; NOT_FOUND if there is no such member, or it is a bit field or has another
// size than `bytes`. Pure.
absl::StatusOr<uint32_t> MemberOffset(const btf& types, const std::string& struct_name,
                                      const std::string& path, uint32_t bytes);

// Reads BTF (the kernel's description of its own types) under `directory`: from
// "vmlinux" when KVM is built in, otherwise from "kvm" (which builds on it). BTF objects
// are not enumerated: that needs more privilege than the agent has.
// Errors: NOT_FOUND the kernel has no BTF, no KVM, or its module is not loaded.
absl::StatusOr<KvmOffsets> ReadKvmOffsets(const std::string& directory = "/sys/kernel/btf");

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_KERNEL_KVM_OFFSETS_H_
