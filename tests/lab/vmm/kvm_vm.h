// SPDX-License-Identifier: Apache-2.0
//
// A virtual machine of /dev/kvm and one virtual CPU of it: thin, owning wrappers over
// the ioctls (Documentation/virt/kvm/api.rst), as much as the lab needs.
#ifndef LOCKHOST_TESTS_LAB_VMM_KVM_VM_H_
#define LOCKHOST_TESTS_LAB_VMM_KVM_VM_H_

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"
#include "tests/lab/vmm/shared_memory.h"

namespace lockhost::lab {

// Not thread-safe.
class KvmVm {
 public:
  // UNAVAILABLE: /dev/kvm is not there or not usable, and why.
  static absl::StatusOr<KvmVm> Create();

  // Makes host memory visible at guest-physical `address`, replacing what the slot
  // showed. `host` must stay mapped as long. `bytes` 0 removes the slot.
  // REQUIRES: no vCPU runs.
  absl::Status SetSlot(uint32_t slot, uint64_t address, void* host, size_t bytes, bool writable);

  int fd() const { return vm_.get(); }
  size_t run_bytes() const { return run_bytes_; }
  const std::vector<kvm_cpuid_entry2>& cpuid() const { return cpuid_; }

 private:
  UniqueFd kvm_;
  UniqueFd vm_;
  size_t run_bytes_ = 0;
  std::vector<kvm_cpuid_entry2> cpuid_;
};

// Where a virtual CPU starts: 64-bit user mode with access to ports.
struct VcpuStart {
  uint64_t page_table;
  uint64_t rip;
  uint64_t rsp;
  uint64_t rdi;
  uint64_t rsi;
};

// Not thread-safe, but for Interrupt().
class KvmVcpu {
 public:
  static absl::StatusOr<KvmVcpu> Create(const KvmVm& vm, uint32_t id, const VcpuStart& start);

  // Why the guest came out.
  struct Exit {
    enum class Kind { kInterrupted, kPort, kOther } kind;
    uint16_t port = 0;     // kPort
    uint32_t reason = 0;   // kOther: KVM_EXIT_*
    uint64_t address = 0;  // kOther: for KVM_EXIT_MMIO the guest-physical address
  };
  // Runs the guest until it exits. UNAVAILABLE and the like: KVM refused.
  absl::StatusOr<Exit> Run();

  // Makes the present or next Run() return kInterrupted, if its thread is sent a
  // signal after this. From any thread.
  void Interrupt() const;

  uint64_t rip() const;  // for messages; 0 if KVM does not say

 private:
  absl::Status SetCpuid(const KvmVm& vm) const;
  absl::Status SetRegisters(const VcpuStart& start) const;
  void AlignTsc() const;
  kvm_run* run() const { return static_cast<kvm_run*>(run_.data()); }

  UniqueFd fd_;
  Mapping run_;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_VMM_KVM_VM_H_
