// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_HOST_PLATFORM_H_
#define LOCKHOST_AGENT_BOOST_HOST_PLATFORM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/boost/booster.h"
#include "agent/boost/ledger.h"
#include "agent/boost/repayment.h"
#include "agent/boost/thread_control.h"
#include "agent/bpf/shared.h"
#include "agent/kernel/procfs.h"
#include "agent/table/table_reader.h"

namespace lockhost::agent {

// The booster's hands on this host: the VMs' tables, the array that it shares with the BPF
// programs, the VMM's memory for report words, and the scheduling of vCPU threads.
// Not thread-safe.
class HostPlatform : public BoostPlatform {
 public:
  // `vms_fd` is not kept; `ledger` and `procfs` must outlive the object.
  static absl::StatusOr<std::unique_ptr<HostPlatform>> Create(int vms_fd, BoostMechanism mechanism,
                                                              Ledger* ledger, const Procfs* procfs);
  ~HostPlatform() override;

  void AddVm(uint32_t vm_index, std::shared_ptr<const TableReader> table);
  // REQUIRES: none of its threads is boosted.
  void RemoveVm(uint32_t vm_index);
  Repayment& repayment() { return repayment_; }
  // The first of the VM's vCPUs that has a thread; 0: none has. Thread-safe.
  int32_t SomeOwner(uint32_t vm_index) const;
  // What is not urgent.
  void CatchUp() { control_.CatchUp(); }

  uint64_t StateWord(uint32_t vm_index, uint32_t vcpu_id) override;
  uint64_t SinceNs(uint32_t vm_index, uint32_t vcpu_id) override;
  int32_t Owner(uint32_t vm_index, uint32_t vcpu_id) override;
  std::optional<uint64_t> ReportWord(uint32_t vm_index, uint32_t vcpu_id) override;
  void ListenFrom(uint32_t vm_index, uint64_t from_ns, uint64_t heirs_from_ns) override;
  absl::Status Raise(uint32_t vm_index, int32_t tid) override;
  void Restore(int32_t tid, bool surely_there) override;
  void Charge(uint32_t vm_index, int32_t tid, uint64_t used_ns, uint64_t now_ns) override;

 private:
  HostPlatform(lh_vm* vms, BoostMechanism mechanism, Ledger* ledger, const Procfs* procfs)
      : vms_(vms), control_(mechanism, ledger, procfs), repayment_(&control_, procfs) {}

  lh_vm* vms_;
  ThreadControl control_;
  Repayment repayment_;
  std::map<uint32_t, std::shared_ptr<const TableReader>> tables_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_HOST_PLATFORM_H_
