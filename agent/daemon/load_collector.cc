// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/load_collector.h"

#include <utility>

namespace lockhost::agent {
namespace {

bool IsRunnable(uint32_t state) {
  return state == LOCKHOST_RUN_STATE_RUNNING || state == LOCKHOST_RUN_STATE_PREEMPTED;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LoadCollector>> LoadCollector::Create(int stats_fd) {
  std::unique_ptr<StatsReader> stats;
  if (stats_fd >= 0) {
    auto attached = StatsReader::Attach(stats_fd);
    if (!attached.ok()) return attached.status();
    stats = *std::move(attached);
  }
  return std::unique_ptr<LoadCollector>(new LoadCollector(std::move(stats)));
}

std::vector<VmLoad> LoadCollector::Collect(uint64_t now_ns, VmRegistry& registry) {
  std::map<uint64_t, VmLoad> loads;
  for (const auto& [vm_id, vm] : registry.vms()) {
    VmLoad& load = loads[vm_id];
    load.vm_id = vm_id;
    load.live_vcpus = vm.counts.live;
    if (stats_ == nullptr) AddSamples(now_ns, vm, load);
  }
  if (stats_ != nullptr) AddBooks(now_ns, registry, loads);
  std::erase_if(estimated_run_ns_, [&](const auto& vm) { return !loads.contains(vm.first); });
  collected_at_ns_ = now_ns;
  std::vector<VmLoad> all;
  for (const auto& [vm_id, load] : loads) all.push_back(load);
  return all;
}

void LoadCollector::AddBooks(uint64_t now_ns, VmRegistry& registry,
                             std::map<uint64_t, VmLoad>& loads) const {
  for (const StatsReader::Place& place : stats_->Places()) {
    const Vm* vm = registry.Find(place.vm_id);
    if (vm == nullptr) continue;
    const VcpuBooks books = ReadBooks(*vm->table, *stats_, place);
    if (books.stats.vm_id == 0) continue;
    const VcpuTimes times = TimesAt(books.slot, books.stats, now_ns);
    VmLoad& load = loads[place.vm_id];
    load.run_ns += times.run_ns;
    load.steal_ns += times.steal_ns;
    load.runnable_now += IsRunnable(books.slot.run_state()) ? 1 : 0;
  }
}

// Ids are dense as a rule: once all that were seen are found there is no need to go on.
void LoadCollector::AddSamples(uint64_t now_ns, const Vm& vm, VmLoad& load) {
  uint32_t found = 0;
  uint32_t running = 0;
  for (uint32_t id = 0; id < vm.table->slot_count() && found < vm.counts.seen; ++id) {
    const VcpuObservation slot = vm.table->Read(id);
    if (slot.state_word == 0) continue;
    ++found;
    load.steal_ns += slot.steal_ns;
    load.runnable_now += IsRunnable(slot.run_state()) ? 1 : 0;
    running += slot.run_state() == LOCKHOST_RUN_STATE_RUNNING ? 1 : 0;
  }
  uint64_t& run_ns = estimated_run_ns_[vm.record.vm_id];
  if (collected_at_ns_ != 0) run_ns += running * (now_ns - collected_at_ns_);
  load.run_ns = run_ns;
}

}  // namespace lockhost::agent
