// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_POLLED_SOURCE_H_
#define LOCKHOST_AGENT_SOURCE_POLLED_SOURCE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/discovery/vcpu_finder.h"
#include "agent/kernel/procfs.h"
#include "agent/source/interest_memfd.h"
#include "agent/source/source.h"
#include "agent/source/thread_observer.h"
#include "agent/table/memfd_table.h"
#include "common/clock.h"

namespace lockhost::agent {

// Sources that look at the vCPUs' threads from user space, at their own pace, because to be
// woken at every switch would make the next switch: perf context-switch records, and /proc
// alone. What neither can know:
//   - what happens between two looks: a table lags by up to the sample period under
//     demand, by up to a second without;
//   - HALTED (reads as EXITED), report words, lock-holder preemptions;
//   - the vCPUs that VcpuFinder cannot find.
class PolledSource : public Source {
 public:
  // Under demand. For perf, whose records are exact, as short as a host can bear; for
  // /proc a little more than a scheduler tick at 250 Hz: see JudgeRunState.
  static constexpr std::chrono::milliseconds kPerfPeriod{2};
  static constexpr std::chrono::milliseconds kProcfsPeriod{5};

  // `procfs` shows the processes and must outlive the source. Needs no privilege over
  // processes of the same user; debugfs below `sysfs_root` shows more where it may be read.
  static absl::StatusOr<std::unique_ptr<PolledSource>> CreateProcfs(const Procfs* procfs,
                                                                    const std::string& sysfs_root,
                                                                    Clock clock);
  // PERMISSION_DENIED: perf events are not to be had (perf_event_paranoid, a seccomp filter).
  // Threads that may not be recorded, or for which there is no more memory, are sampled from
  // /proc instead, and counted.
  static absl::StatusOr<std::unique_ptr<PolledSource>> CreatePerf(const Procfs* procfs,
                                                                  const std::string& sysfs_root,
                                                                  Clock clock);

  SourceKind kind() const override { return kind_; }
  int hint_ring_fd() const override { return -1; }
  int interest_fd() const override { return interest_->fd(); }
  int event_fd() const override { return -1; }
  std::chrono::milliseconds poll_interval() override;
  absl::StatusOr<std::vector<VmSighting>> Poll() override;
  bool outlives_agent() const override { return false; }
  std::vector<VmRecord> Adopted() override { return {}; }
  absl::Status AddVm(const VmRecord& record) override;
  void RemoveVm(const VmRecord& record) override;
  int TableFd(const VmRecord& record) override;
  VcpuCounts Counts(const VmRecord& record) override;
  void SetMode(const VmRecord& record, lockhost_mode mode) override;
  absl::Status SetReportRegion(const VmRecord& record, uint64_t address,
                               uint32_t slot_count) override;
  bool ReportsReadable(const VmRecord&) override { return false; }
  absl::Status SetVcpuThreads(const VmRecord& record, std::span<const int32_t> tids) override;
  std::vector<SourceCounter> Counters() override;

 private:
  struct Followed {
    VmRecord record;
    std::unique_ptr<MemfdTable> table;
    std::map<uint32_t, std::unique_ptr<ThreadObserver>> threads;  // by vCPU id
    std::set<uint32_t> seen;
    bool by_name = true;  // threads are found by their names, not registered
    uint64_t sampled_at_ns = 0;
  };

  PolledSource(SourceKind kind, const Procfs* procfs, const std::string& sysfs_root, Clock clock,
               std::unique_ptr<InterestMemfd> interest)
      : kind_(kind),
        procfs_(procfs),
        clock_(clock),
        finder_(procfs, sysfs_root, clock),
        interest_(std::move(interest)) {}
  static absl::StatusOr<std::unique_ptr<PolledSource>> Create(SourceKind kind, const Procfs* procfs,
                                                              const std::string& sysfs_root,
                                                              Clock clock);
  std::unique_ptr<ThreadObserver> Observe(pid_t pid, pid_t tid);

  std::chrono::milliseconds look_period() const {
    return kind_ == SourceKind::kPerf ? kPerfPeriod : kProcfsPeriod;
  }
  bool HasDemand(const Followed& vm, uint64_t now_ns) const;
  bool IsFollowed(const ProcessId& process) const;
  void FindThreads(Followed& vm);
  bool Follow(Followed& vm, uint32_t vcpu_id, pid_t tid);
  void SampleVm(Followed& vm, uint64_t now_ns);

  const SourceKind kind_;
  const Procfs* procfs_;
  Clock clock_;
  VcpuFinder finder_;
  std::unique_ptr<InterestMemfd> interest_;
  std::map<uint64_t, Followed> vms_;  // by vm_id
  uint64_t samples_ = 0;
  uint64_t unrecorded_ = 0;  // threads that perf would not record
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_POLLED_SOURCE_H_
