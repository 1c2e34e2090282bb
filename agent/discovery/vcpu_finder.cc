// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/vcpu_finder.h"

#include <algorithm>

namespace lockhost::agent {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kScanPeriodNs = std::chrono::nanoseconds(VcpuFinder::kScanPeriod).count();
// A new process is looked at often, for vCPU threads come late; an old one seldom.
constexpr uint64_t kNewForNs = 10 * kNsPerSecond;
constexpr uint64_t kReexamineAfterNs = 30 * kNsPerSecond;

}  // namespace

bool VcpuFinder::IsScanDue() const {
  return scanned_at_ns_ == 0 || clock_.now_ns() - scanned_at_ns_ >= kScanPeriodNs;
}

void VcpuFinder::LookAtDebugfs() {
  vm_counts_.clear();
  if (!debugfs_) {
    auto opened = KvmDebugfs::Open(sysfs_root_);
    if (opened.ok()) debugfs_ = *std::move(opened);
  }
  if (debugfs_ && procfs_->ShowsInitialPidNamespace()) vm_counts_ = debugfs_->VmCounts();
  several_vms_ = static_cast<size_t>(std::count_if(
      vm_counts_.begin(), vm_counts_.end(), [](const auto& each) { return each.second > 1; }));
}

std::vector<VmSighting> VcpuFinder::Scan() {
  const uint64_t now_ns = clock_.now_ns();
  scanned_at_ns_ = now_ns;
  LookAtDebugfs();
  std::vector<VmSighting> sightings;
  std::map<pid_t, Known> alive;
  for (const pid_t pid : procfs_->Processes()) {
    const auto before = known_.find(pid);
    Known known = before == known_.end() ? Known{} : before->second;
    if (const auto sighting = Examine(pid, known, now_ns)) sightings.push_back(*sighting);
    alive.emplace(pid, known);
  }
  known_ = std::move(alive);
  std::erase_if(nameless_, [&](pid_t pid) { return !known_.contains(pid); });
  return sightings;
}

std::optional<VmSighting> VcpuFinder::Examine(pid_t pid, Known& known, uint64_t now_ns) {
  const ProcessMark mark = procfs_->Mark(pid);
  if (known.first_seen_ns == 0 || known.mark.inode != mark.inode) known = {mark, now_ns};
  const bool threads_changed = known.mark != mark;
  known.mark = mark;
  const bool is_due = IsDue(pid, known, now_ns);
  if (is_due) {
    known.examined_at_ns = now_ns;
    known.shows_vcpus = ShowsVcpus(pid);
  } else if (threads_changed) {
    // Names alone: the descriptors of a busy server are many, and its threads come and go.
    known.shows_vcpus = !NamedVcpuThreads(*procfs_, pid, procfs_->Threads(pid)).empty();
  }
  if (!known.shows_vcpus || !(is_due || threads_changed)) return std::nullopt;
  const auto stat = procfs_->Stat(pid);
  if (!stat) return std::nullopt;
  return VmSighting{static_cast<uint64_t>(pid), {pid, stat->start_ticks}};
}

bool VcpuFinder::IsDue(pid_t pid, const Known& known, uint64_t now_ns) const {
  return known.examined_at_ns == 0 || now_ns - known.first_seen_ns < kNewForNs ||
         now_ns - known.examined_at_ns >= kReexamineAfterNs ||
         (!known.shows_vcpus && vm_counts_.contains(pid));
}

bool VcpuFinder::ShowsVcpus(pid_t pid) {
  const VcpuThreads found = FindVcpuThreads(*procfs_, debugfs_ ? &*debugfs_ : nullptr, pid);
  if (found.tids.empty() && found.holds_vcpus) {
    nameless_.insert(pid);
  } else {
    nameless_.erase(pid);
  }
  return !found.tids.empty();
}

std::vector<VcpuThread> VcpuFinder::Threads(const ProcessId& process) const {
  std::vector<VcpuThread> threads;
  const VcpuThreads found = FindVcpuThreads(*procfs_, debugfs_ ? &*debugfs_ : nullptr, process.pid);
  for (const auto& [vcpu_id, tid] : found.tids) threads.push_back({vcpu_id, tid});
  // Looked at last: a process that is there now was there before.
  const auto stat = procfs_->Stat(process.pid);
  if (!stat || stat->start_ticks != process.start_ticks) threads.clear();
  return threads;
}

}  // namespace lockhost::agent
