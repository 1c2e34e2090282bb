// SPDX-License-Identifier: Apache-2.0
//
// The pages that a lab machine's guest sees besides its RAM: the hint page that
// lockhost-guestd fills from gRPC, the page in which the guestd of the direct path keeps
// the lease, the VM's own vCPU table, and two report pages, because two guest agents
// run side by side: one is watched by the guestd of the gRPC path, and in what uses the
// other there is no demand for gRPC to answer.
#ifndef LOCKHOST_TESTS_LAB_HARNESS_PAGES_H_
#define LOCKHOST_TESTS_LAB_HARNESS_PAGES_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "client/page/hint_page.h"
#include "client/page/report_page.h"
#include "tests/lab/vmm/machine.h"
#include "tests/lab/vmm/shared_memory.h"

namespace lockhost::lab {

// Used by the harness's thread; the pages themselves are shared with other processes.
class Pages {
 public:
  // Makes the pages and shows them to `machine`, which must outlive this object.
  static absl::StatusOr<std::unique_ptr<Pages>> Create(Machine* machine);

  // Shows the VM's vCPU table (a descriptor from the agent) to the guest, read-only.
  // REQUIRES: all vCPUs are parked.
  absl::Status AttachTable(int fd);
  absl::Status DetachTable();
  // Null while no table is attached.
  const lockhost_hint_header* table() const;
  uint32_t table_slots() const { return table_slots_; }

  // `watched`: by the guestd of the gRPC path.
  const SharedMemory& reports(bool watched) const { return watched ? reports_ : quiet_reports_; }
  const SharedMemory& grpc_page() const { return grpc_page_; }
  const SharedMemory& direct_lease() const { return direct_lease_; }

  uint32_t vcpus() const { return machine_.vcpus(); }

  // Says in `config` which pages `subject` sees. REQUIRES: all vCPUs are parked.
  void Assign(Subject subject, bool watched, RunConfig& config) const;

  // vCPUs of the machine whose run state the table tells.
  uint32_t KnownVcpus() const;
  // Lock-holder preemptions by the table, all vCPUs.
  uint64_t LockHolderPreemptions() const;

 private:
  explicit Pages(Machine* machine) : machine_(*machine) {}
  absl::Status MakeAll();

  Machine& machine_;
  SharedMemory reports_, quiet_reports_, grpc_page_, direct_lease_;
  LabAddress reports_at_ = 0, quiet_reports_at_ = 0, grpc_page_at_ = 0, direct_lease_at_ = 0;
  LabAddress table_at_ = 0;
  Mapping table_;
  uint32_t table_slots_ = 0;
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_PAGES_H_
