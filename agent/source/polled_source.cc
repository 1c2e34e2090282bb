// SPDX-License-Identifier: Apache-2.0
#include "agent/source/polled_source.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "agent/source/switch_recorder.h"
#include "agent/source/thread_sampler.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kIdleSamplePeriodNs = kNsPerSecond;
// How soon demand is noticed.
constexpr std::chrono::milliseconds kDemandPeriod{100};

}  // namespace

absl::StatusOr<std::unique_ptr<PolledSource>> PolledSource::Create(SourceKind kind,
                                                                   const Procfs* procfs,
                                                                   const std::string& sysfs_root,
                                                                   Clock clock) {
  auto interest = InterestMemfd::Create();
  if (!interest.ok()) return interest.status();
  return std::unique_ptr<PolledSource>(
      new PolledSource(kind, procfs, sysfs_root, clock, *std::move(interest)));
}

absl::StatusOr<std::unique_ptr<PolledSource>> PolledSource::CreateProcfs(
    const Procfs* procfs, const std::string& sysfs_root, Clock clock) {
  return Create(SourceKind::kProcfs, procfs, sysfs_root, clock);
}

absl::StatusOr<std::unique_ptr<PolledSource>> PolledSource::CreatePerf(
    const Procfs* procfs, const std::string& sysfs_root, Clock clock) {
  // Of VMMs there may be none yet: the agent's own thread tells whether perf is there at all.
  const auto self = Procfs::Open();
  if (!self.ok()) return self.status();
  const auto tried = SwitchRecorder::Open(*self, getpid(), gettid());
  if (!tried.ok()) return tried.status();
  return Create(SourceKind::kPerf, procfs, sysfs_root, clock);
}

bool PolledSource::HasDemand(const Followed& vm, uint64_t now_ns) const {
  return interest_->HasDemand(vm.record.vm_index, vm.record.vm_id, now_ns);
}

std::chrono::milliseconds PolledSource::poll_interval() {
  if (vms_.empty()) return VcpuFinder::kScanPeriod;
  const uint64_t now = clock_.now_ns();
  const bool demand = std::any_of(vms_.begin(), vms_.end(),
                                  [&](const auto& vm) { return HasDemand(vm.second, now); });
  return demand ? look_period() : kDemandPeriod;
}

absl::StatusOr<std::vector<VmSighting>> PolledSource::Poll() {
  const uint64_t now = clock_.now_ns();
  std::vector<VmSighting> sightings;
  if (finder_.IsScanDue()) {
    sightings = finder_.Scan();
    std::erase_if(sightings, [&](const VmSighting& each) { return IsFollowed(each.process); });
    for (auto& [id, vm] : vms_) {
      if (vm.by_name) FindThreads(vm);
    }
  }
  for (auto& [id, vm] : vms_) {
    if (HasDemand(vm, now) || now - vm.sampled_at_ns >= kIdleSamplePeriodNs) SampleVm(vm, now);
  }
  return sightings;
}

bool PolledSource::IsFollowed(const ProcessId& process) const {
  return std::any_of(vms_.begin(), vms_.end(),
                     [&](const auto& vm) { return vm.second.record.process == process; });
}

absl::Status PolledSource::AddVm(const VmRecord& record) {
  const auto sampled_every_ns =
      static_cast<uint32_t>(std::chrono::nanoseconds(look_period()).count());
  auto table = MemfdTable::Create(record.generation, sampled_every_ns);
  if (!table.ok()) return table.status();
  Followed vm;
  vm.record = record;
  vm.table = *std::move(table);
  vm.by_name = record.key != 0;
  Followed& followed = vms_.insert_or_assign(record.vm_id, std::move(vm)).first->second;
  if (followed.by_name) FindThreads(followed);
  SampleVm(followed, clock_.now_ns());
  return absl::OkStatus();
}

int PolledSource::TableFd(const VmRecord& record) {
  const auto vm = vms_.find(record.vm_id);
  return vm == vms_.end() ? -1 : vm->second.table->fd();
}

void PolledSource::RemoveVm(const VmRecord& record) {
  const auto vm = vms_.find(record.vm_id);
  if (vm == vms_.end()) return;
  for (const uint32_t vcpu_id : vm->second.seen) vm->second.table->Clear(vcpu_id);
  vm->second.table->SetHeader(LOCKHOST_MODE_UNSPECIFIED, 0);
  vms_.erase(vm);
}

VcpuCounts PolledSource::Counts(const VmRecord& record) {
  const auto vm = vms_.find(record.vm_id);
  if (vm == vms_.end()) return {};
  return {static_cast<uint32_t>(vm->second.threads.size()),
          static_cast<uint32_t>(vm->second.seen.size())};
}

void PolledSource::SetMode(const VmRecord& record, lockhost_mode mode) {
  const auto vm = vms_.find(record.vm_id);
  if (vm != vms_.end()) vm->second.table->SetHeader(mode, record.generation);
}

absl::Status PolledSource::SetReportRegion(const VmRecord&, uint64_t, uint32_t) {
  return absl::UnimplementedError("this source cannot read report words");
}

// Null: no such thread, or nothing of it can be seen.
std::unique_ptr<ThreadObserver> PolledSource::Observe(pid_t pid, pid_t tid) {
  if (kind_ == SourceKind::kPerf) {
    auto recorder = SwitchRecorder::Open(*procfs_, pid, tid);
    if (recorder.ok()) return *std::move(recorder);
    if (!absl::IsNotFound(recorder.status())) ++unrecorded_;
  }
  return ThreadSampler::Open(*procfs_, pid, tid);
}

bool PolledSource::Follow(Followed& vm, uint32_t vcpu_id, pid_t tid) {
  const auto before = vm.threads.find(vcpu_id);
  if (before != vm.threads.end() && before->second->tid() == tid) return true;
  auto observer = Observe(vm.record.process.pid, tid);
  if (observer == nullptr) return false;
  vm.threads.insert_or_assign(vcpu_id, std::move(observer));
  vm.seen.insert(vcpu_id);
  return true;
}

void PolledSource::FindThreads(Followed& vm) {
  for (const VcpuThread& thread : finder_.Threads(vm.record.process)) {
    // Whoever runs a vCPU keeps it until its end, whatever others call themselves.
    if (!vm.threads.contains(thread.vcpu_id)) Follow(vm, thread.vcpu_id, thread.tid);
  }
}

absl::Status PolledSource::SetVcpuThreads(const VmRecord& record, std::span<const int32_t> tids) {
  const auto vm = vms_.find(record.vm_id);
  if (vm == vms_.end()) return absl::NotFoundError("no such VM");
  Followed& followed = vm->second;
  followed.by_name = false;
  std::erase_if(followed.threads, [&](const auto& thread) {
    const bool stays = thread.first < tids.size() && tids[thread.first] == thread.second->tid();
    if (!stays) followed.table->Clear(thread.first);
    return !stays;
  });
  for (size_t id = 0; id < tids.size(); ++id) {
    if (tids[id] == 0 || Follow(followed, static_cast<uint32_t>(id), tids[id])) continue;
    return absl::PermissionDeniedError("a registered thread cannot be observed");
  }
  return absl::OkStatus();
}

void PolledSource::SampleVm(Followed& vm, uint64_t now_ns) {
  vm.sampled_at_ns = now_ns;
  for (auto thread = vm.threads.begin(); thread != vm.threads.end();) {
    const auto sample = thread->second->Sample();
    ++samples_;
    if (!sample) {
      vm.table->Clear(thread->first);
      thread = vm.threads.erase(thread);
      continue;
    }
    vm.table->SetStealNs(thread->first, sample->steal_ns);
    vm.table->SetState(thread->first, sample->state, sample->since_ns.value_or(now_ns));
    if (sample->preemptions) vm.table->SetPreemptions(thread->first, *sample->preemptions);
    ++thread;
  }
}

std::vector<SourceCounter> PolledSource::Counters() {
  return {{"thread samples", samples_, false, "thread_samples"},
          {"threads that perf could not record, sampled from /proc", unrecorded_, true,
           "threads_unrecorded"},
          {"VMs passed over: nothing tells their vCPU threads", finder_.nameless(), true,
           "vms_nameless"},
          {"processes with several VMs, which cannot be told apart", finder_.several_vms(), true,
           "processes_with_several_vms"}};
}

}  // namespace lockhost::agent
