// SPDX-License-Identifier: Apache-2.0

// Agent, fourth part: the source in use, and what happens when it fails.
#include <spdlog/spdlog.h>
#include <sys/epoll.h>

#include <utility>
#include <vector>

#include "agent/daemon/agent.h"

namespace lockhost::agent {
namespace {

// Polls in a row; they are a second apart at most.
constexpr int kFailuresUntilNext = 3;

}  // namespace

absl::Status Agent::TakeSource(ChosenSource chosen) {
  chosen_ = std::move(chosen);
  trouble_.clear();
  failures_ = 0;
  for (const std::string& note : chosen_.notes) spdlog::warn("{}", note);
  spdlog::info("source of run states: {}{}{}", SourceName(chosen_.source->kind()),
               chosen_.reason.empty() ? "" : "; ", chosen_.reason);
  boosts_->Use(chosen_.source.get());
  spdlog::info("boosts: {}{}{}", NameOf(boosts_->mechanism()),
               boosts_->reason().empty() ? "" : "; ", boosts_->reason());
  auto collector = LoadCollector::Create(chosen_.source->stats_fd());
  if (!collector.ok()) return collector.status();
  load_collector_ = *std::move(collector);
  const int fd = chosen_.source->event_fd();
  if (fd < 0) return absl::OkStatus();
  return loop_->Watch(fd, EPOLLIN, [this](uint32_t) { Poll(); });
}

void Agent::CountFailure(const absl::Status& status) {
  const std::string why(status.message());
  if (++failures_ < kFailuresUntilNext) {
    spdlog::warn("looking for VMs: {}; trying again", why);
    return;
  }
  auto next = ChooseNextSource(chosen_.source->kind(), why, &procfs_, sysfs_root_, clock_);
  if (!next.ok()) {
    spdlog::warn("looking for VMs: {}; no other source is left, trying again", why);
    failures_ = 0;
    return;
  }
  loop_->Forget(chosen_.source->event_fd());
  boosts_->Use(nullptr);
  const std::unique_ptr<Source> failed = std::move(chosen_.source);
  if (absl::Status taken = TakeSource(*std::move(next)); !taken.ok()) {
    spdlog::error("the next source: {}", std::string(taken.message()));
  }
  MoveVms(*failed);
  channel_->AnnounceSource();
}

// The old tables say "no hint", whoever still maps them; the new ones are announced with a
// generation of their own. A better source is tried again when the agent restarts.
void Agent::MoveVms(Source& from) {
  std::vector<uint64_t> left_behind;
  for (auto& [vm_id, vm] : registry_.vms()) {
    from.RemoveVm(vm.record);
    if (!Move(vm)) left_behind.push_back(vm_id);
  }
  for (const uint64_t vm_id : left_behind) End(vm_id, "the source in use cannot follow it");
}

bool Agent::Move(Vm& vm) {
  // Registered: nobody has kept its threads; they are to be registered again.
  if (vm.record.key == 0) return false;
  // The other sources call a VM by its process, and know one there.
  const auto key = static_cast<uint64_t>(vm.record.process.pid);
  for (Vm* other : registry_.OfProcess(vm.record.process)) {
    if (other != &vm && other->record.key == key) return false;
  }
  const auto generation = RandomGeneration();
  if (!generation.ok()) return false;
  vm.record.key = key;
  vm.record.generation = *generation;
  if (!chosen_.source->AddVm(vm.record).ok()) return false;
  auto table = TableReader::Attach(chosen_.source->TableFd(vm.record));
  if (!table.ok()) return false;
  vm.table = *std::move(table);
  vm.counts = chosen_.source->Counts(vm.record);
  vm.reports_readable = chosen_.source->ReportsReadable(vm.record);
  boosts_->AddVm(vm);
  channel_->AnnounceVm(Announcement(vm));
  return true;
}

}  // namespace lockhost::agent
