// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/vcpu_finder.h"

#include <utility>

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

std::vector<VmSighting> VcpuFinder::Scan() {
  const uint64_t now_ns = clock_.now_ns();
  scanned_at_ns_ = now_ns;
  std::vector<VmSighting> sightings;
  std::map<pid_t, Known> alive;
  for (const pid_t pid : procfs_->Processes()) {
    const auto before = known_.find(pid);
    Known known = before == known_.end() ? Known{now_ns, 0} : before->second;
    const bool due = now_ns - known.first_seen_ns < kNewForNs || known.examined_at_ns == 0 ||
                     now_ns - known.examined_at_ns >= kReexamineAfterNs;
    if (due) {
      known.examined_at_ns = now_ns;
      const auto stat = procfs_->Stat(pid);
      if (stat && ShowsVcpus(pid)) {
        sightings.push_back({static_cast<uint64_t>(pid), {pid, stat->start_ticks}});
      }
    }
    alive.emplace(pid, known);
  }
  known_ = std::move(alive);
  std::erase_if(nameless_, [&](pid_t pid) { return !known_.contains(pid); });
  return sightings;
}

bool VcpuFinder::ShowsVcpus(pid_t pid) {
  nameless_.erase(pid);
  for (const pid_t tid : procfs_->Threads(pid)) {
    if (ParseVcpuThreadName(procfs_->ThreadName(pid, tid))) return true;
  }
  if (procfs_->HoldsVcpus(pid)) nameless_.insert(pid);
  return false;
}

std::vector<VcpuThread> VcpuFinder::Threads(pid_t pid) const {
  std::vector<VcpuThread> threads;
  std::set<uint32_t> found;
  for (const pid_t tid : procfs_->Threads(pid)) {
    const auto vcpu_id = ParseVcpuThreadName(procfs_->ThreadName(pid, tid));
    // The first thread of a name keeps it: a name is no proof of anything.
    if (vcpu_id && found.insert(*vcpu_id).second) threads.push_back({*vcpu_id, tid});
  }
  return threads;
}

}  // namespace lockhost::agent
