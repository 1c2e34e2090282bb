// SPDX-License-Identifier: Apache-2.0

// Agent, second part: what peers ask for. A peer speaks of VMs of its own process alone.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "agent/daemon/agent.h"

namespace lockhost::agent {
namespace {

ProcessId ProcessOf(const PeerIdentity& peer) { return {peer.pid, peer.start_ticks}; }

}  // namespace

SourceAnnouncement Agent::DescribeSource() {
  auto message = MakeMessage<SourceMessage>(MessageType::kSource);
  message.source = chosen_.source->kind();
  message.online_cpus = static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_ONLN));
  SetFieldText(message.reason, chosen_.reason);
  return {message,
          chosen_.source->hint_ring_fd(),
          chosen_.source->interest_fd(),
          chosen_.source->stats_fd(),
          host_page_->fd(),
          boosts_->log_fd(),
          boosts_->requests_fd()};
}

std::vector<VmAnnouncement> Agent::AllVms() {
  std::vector<VmAnnouncement> all;
  for (const auto& [vm_id, vm] : registry_.vms()) all.push_back(Announcement(vm));
  return all;
}

std::vector<VmAnnouncement> Agent::VmsOf(const PeerIdentity& peer) {
  std::vector<VmAnnouncement> own;
  for (const Vm* vm : registry_.OfProcess(ProcessOf(peer))) own.push_back(Announcement(*vm));
  return own;
}

absl::Status Agent::SetReportRegion(const PeerIdentity& peer, const ReportRegionMessage& region) {
  Vm* vm = registry_.Find(region.vm_id);
  // One answer for both, so that nobody learns which ids exist.
  if (vm == nullptr || vm->record.process != ProcessOf(peer)) {
    return absl::PermissionDeniedError(absl::StrCat("no VM ", region.vm_id, " of your process"));
  }
  absl::Status status =
      chosen_.source->SetReportRegion(vm->record, region.address, region.slot_count);
  if (!status.ok()) return status;
  const bool readable = chosen_.source->ReportsReadable(vm->record);
  if (readable != vm->reports_readable) {
    vm->reports_readable = readable;
    MarkChanged(*vm);
  }
  return absl::OkStatus();
}

// The VM of threads that were registered; with a source that goes by processes alone,
// the process's only VM.
Vm* Agent::RegisteredVm(const ProcessId& process) {
  if (Vm* vm = registry_.FindSighted({0, process})) return vm;
  const std::vector<Vm*> found = registry_.OfProcess(process);
  return chosen_.source->kind() == SourceKind::kBpf || found.empty() ? nullptr : found.front();
}

bool Agent::MayRegisterAnother() {
  const auto registered = std::count_if(registry_.vms().begin(), registry_.vms().end(),
                                        [](const auto& vm) { return vm.second.record.key == 0; });
  return static_cast<uint64_t>(registered) < registered_vms_;
}

absl::StatusOr<VmAnnouncement> Agent::RegisterVcpus(const PeerIdentity& peer,
                                                    std::span<const int32_t> tids) {
  for (const int32_t tid : tids) {
    if (tid != 0 && !procfs_.ThreadStat(peer.pid, tid)) {
      return absl::PermissionDeniedError(absl::StrCat("no thread ", tid, " of your process"));
    }
  }
  Vm* vm = RegisteredVm(ProcessOf(peer));
  const bool is_new = vm == nullptr;
  if (is_new) {
    if (!MayRegisterAnother()) return absl::ResourceExhaustedError("too many registered VMs");
    const auto followed = Follow({0, ProcessOf(peer)});
    if (!followed.ok()) return followed.status();
    vm = *followed;
  }
  if (absl::Status status = chosen_.source->SetVcpuThreads(vm->record, tids); !status.ok()) {
    if (is_new) End(vm->record.vm_id, "its threads could not be registered");
    return status;
  }
  return Announcement(*vm);
}

absl::Status Agent::SetBoost(const PeerIdentity& peer, uint64_t vm_id, bool enabled) {
  if (peer.uid != 0 && peer.uid != geteuid()) {
    return absl::PermissionDeniedError("boosts are switched by root alone");
  }
  if (vm_id == 0) return boosts_->SetEnabled(std::nullopt, enabled);
  const Vm* vm = registry_.Find(vm_id);
  if (vm == nullptr) return absl::NotFoundError(absl::StrCat("no VM ", vm_id));
  return boosts_->SetEnabled(vm->record.vm_index, enabled);
}

}  // namespace lockhost::agent
