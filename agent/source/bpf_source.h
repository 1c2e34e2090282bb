// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_BPF_SOURCE_H_
#define LOCKHOST_AGENT_SOURCE_BPF_SOURCE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/kernel/procfs.h"
#include "agent/source/bpf_programs.h"
#include "agent/source/bpf_tables.h"
#include "agent/source/source.h"
#include "common/clock.h"
#include "common/unique_fd.h"

struct ring_buffer;

namespace lockhost::agent {

// The best source: the scheduler's own tracepoints write the tables, at the switch, and
// find KVM's VMs by themselves. Needs CAP_BPF, CAP_PERFMON, the host's pid namespace, and
// a kernel with BTF (agent/README.md says which).
//
// Tables are frozen BPF arrays: nobody in user space can write them, this agent neither.
class BpfSource : public Source {
 public:
  // `procfs` shows the host's processes. Errors say why this kernel or these privileges
  // will not do; ALREADY_EXISTS when another agent holds the pins.
  static absl::StatusOr<std::unique_ptr<BpfSource>> Create(const BpfOptions& options,
                                                           const Procfs* procfs, Clock clock);
  ~BpfSource() override;

  const std::vector<std::string>& notes() const { return programs_->notes(); }

  SourceKind kind() const override { return SourceKind::kBpf; }
  int hint_ring_fd() const override;
  int interest_fd() const override;
  int stats_fd() const override;
  std::optional<BoostFeed> boost_feed() const override;
  int event_fd() const override;
  std::chrono::milliseconds poll_interval() override;
  absl::StatusOr<std::vector<VmSighting>> Poll() override;
  bool outlives_agent() const override { return programs_->pins() != nullptr; }
  std::vector<VmRecord> Adopted() override { return adopted_; }
  absl::Status AddVm(const VmRecord& record) override;
  void RemoveVm(const VmRecord& record) override;
  int TableFd(const VmRecord& record) override;
  VcpuCounts Counts(const VmRecord& record) override;
  void SetMode(const VmRecord& record, lockhost_mode mode) override;
  absl::Status SetReportRegion(const VmRecord& record, uint64_t address,
                               uint32_t slot_count) override;
  bool ReportsReadable(const VmRecord& record) override;
  absl::Status SetVcpuThreads(const VmRecord& record, std::span<const int32_t> tids) override;
  std::vector<SourceCounter> Counters() override;

 private:
  struct Pending {
    ProcessId process;
    uint64_t told_at_ns;
  };

  BpfSource(std::unique_ptr<BpfPrograms> programs, const Procfs* procfs, Clock clock)
      : programs_(std::move(programs)), procfs_(procfs), clock_(clock) {}

  static int OnAgentEvent(void* self, void* data, size_t size);
  void Adopt();
  void ForgetStrangers();
  absl::Status Publish(const VmRecord& record);
  absl::Status PublishKvm(const VmRecord& record);
  void Withdraw(const VmRecord& record);
  void SetHeader(const VmRecord& record, lockhost_mode mode, uint64_t generation);
  void RetryPending(uint64_t told_before_ns);
  void ReleaseVcpu(const VmRecord& record, uint32_t vcpu_id, uint32_t tid);
  void ForgetThreads(const VmRecord& record);
  uint32_t CountLiving(const VmRecord& record) const;
  void CountRegistered();

  std::unique_ptr<BpfPrograms> programs_;
  const Procfs* procfs_;
  Clock clock_;
  ring_buffer* ring_ = nullptr;
  std::vector<VmSighting> sightings_;    // of the Poll() that is going on
  std::map<uint64_t, Pending> pending_;  // told, and not added: by struct kvm
  std::unique_ptr<BpfTables> tables_;
  std::map<uint64_t, std::vector<int32_t>> registered_;  // tids by vm_id
  std::vector<VmRecord> adopted_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_BPF_SOURCE_H_
