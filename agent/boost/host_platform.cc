// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/host_platform.h"

#include <sys/mman.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace lockhost::agent {

absl::StatusOr<std::unique_ptr<HostPlatform>> HostPlatform::Create(int vms_fd,
                                                                   BoostMechanism mechanism,
                                                                   Ledger* ledger,
                                                                   const Procfs* procfs) {
  void* memory =
      mmap(nullptr, sizeof(lh_vm) * LH_MAX_VMS, PROT_READ | PROT_WRITE, MAP_SHARED, vms_fd, 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "map the array of VMs");
  return std::unique_ptr<HostPlatform>(
      new HostPlatform(static_cast<lh_vm*>(memory), mechanism, ledger, procfs));
}

HostPlatform::~HostPlatform() { munmap(vms_, sizeof(lh_vm) * LH_MAX_VMS); }

void HostPlatform::AddVm(uint32_t vm_index, std::shared_ptr<const TableReader> table) {
  tables_.insert_or_assign(vm_index, std::move(table));
}

void HostPlatform::RemoveVm(uint32_t vm_index) {
  repayment_.Forget(vm_index);
  tables_.erase(vm_index);
}

uint64_t HostPlatform::StateWord(uint32_t vm_index, uint32_t vcpu_id) {
  const auto table = tables_.find(vm_index);
  return table == tables_.end() ? 0 : table->second->ReadStateWord(vcpu_id);
}

uint64_t HostPlatform::SinceNs(uint32_t vm_index, uint32_t vcpu_id) {
  const auto table = tables_.find(vm_index);
  return table == tables_.end() ? 0 : table->second->Read(vcpu_id).since_ns;
}

// The programs strike a thread off at its exit, before its tid can be anybody else's.
int32_t HostPlatform::Owner(uint32_t vm_index, uint32_t vcpu_id) {
  if (vm_index >= LH_MAX_VMS || vcpu_id >= LOCKHOST_MAX_SLOTS) return 0;
  auto& owner = vms_[vm_index].owner[vcpu_id];
  return static_cast<int32_t>(std::atomic_ref(owner).load(std::memory_order_acquire));
}

int32_t HostPlatform::SomeOwner(uint32_t vm_index) const {
  if (vm_index >= LH_MAX_VMS) return 0;
  for (uint32_t& owner : vms_[vm_index].owner) {
    const uint32_t tid = std::atomic_ref(owner).load(std::memory_order_acquire);
    if (tid != 0) return static_cast<int32_t>(tid);
  }
  return 0;
}

std::optional<uint64_t> HostPlatform::ReportWord(uint32_t vm_index, uint32_t vcpu_id) {
  lh_vm& vm = vms_[vm_index];
  const uint64_t page = std::atomic_ref(vm.report_address).load(std::memory_order_acquire);
  if (page == 0 || vcpu_id >= vm.report_slots) return std::nullopt;
  uint64_t word = 0;
  const uint64_t address =
      page + sizeof(lockhost_report_header) + uint64_t{vcpu_id} * sizeof(lockhost_report_slot);
  iovec local{&word, sizeof(word)};
  iovec remote{reinterpret_cast<void*>(address), sizeof(word)};  // of another address space
  if (process_vm_readv(vm.tgid, &local, 1, &remote, 1, 0) != sizeof(word)) return std::nullopt;
  return word;
}

void HostPlatform::ListenFrom(uint32_t vm_index, uint64_t from_ns, uint64_t heirs_from_ns) {
  std::atomic_ref(vms_[vm_index].heirs_from_ns).store(heirs_from_ns, std::memory_order_relaxed);
  std::atomic_ref(vms_[vm_index].boost_from_ns).store(from_ns, std::memory_order_relaxed);
}

absl::Status HostPlatform::Raise(uint32_t vm_index, int32_t tid) {
  return control_.Boost(vms_[vm_index].tgid, tid);
}

void HostPlatform::Restore(int32_t tid, bool surely_there) { control_.EndBoost(tid, surely_there); }

void HostPlatform::Charge(uint32_t vm_index, int32_t tid, uint64_t used_ns, uint64_t now_ns) {
  repayment_.Charge(vm_index, vms_[vm_index].tgid, tid, used_ns, now_ns);
}

}  // namespace lockhost::agent
