// SPDX-License-Identifier: Apache-2.0

// Agent, third part: how much the vCPUs want of the host, and what is told of it.
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <tuple>

#include "agent/channel/packet.h"
#include "agent/daemon/agent.h"

namespace lockhost::agent {
namespace {

static_assert(std::tuple_size_v<KvmStatValues> <= kMaxKvmStats);

uint32_t OnlineCpus() { return static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_ONLN)); }

}  // namespace

void Agent::LookAtLoad() {
  const uint64_t now = clock_.now_ns();
  // Two looks at one moment say nothing; LoadMeter needs time between them.
  if (now == load_looked_at_ns_) return;
  load_looked_at_ns_ = now;
  const std::vector<VmLoad> loads = load_collector_->Collect(now, registry_);
  overcommit_.Observe(now, {OnlineCpus(), procfs_.RunnableThreads().value_or(0)}, loads);
  AdviseModes();
  kvm_stats_.Collect(now, registry_);
  WriteHostPage();
}

std::vector<SourceCounter> Agent::AllCounters() {
  std::vector<SourceCounter> all = chosen_.source->Counters();
  const KvmStatsCounts& kvm = kvm_stats_.counts();
  all.push_back({"KVM statistics files taken", kvm.taken, false, "kvm_stats_taken"});
  all.push_back({"KVM statistics files refused", kvm.refused, true, "kvm_stats_refused"});
  all.push_back({"KVM statistics files malformed", kvm.malformed, true, "kvm_stats_malformed"});
  const ChannelCounters& channel = channel_->counters();
  all.push_back({"connections accepted", channel.accepted, false, "channel_accepted"});
  all.push_back({"connections turned away", channel.turned_away, false, "channel_turned_away"});
  all.push_back({"malformed records", channel.malformed, false, "channel_malformed"});
  all.push_back({"requests refused", channel.refused, false, "channel_refused"});
  all.push_back({"peers that did not read", channel.too_slow, false, "channel_too_slow"});
  all.push_back({"boosters that hear no guests' requests any more: malformed ones came",
                 boosts_->requests_ended() ? uint64_t{1} : 0, true, "boost_requests_ended"});
  return all;
}

void Agent::AdviseModes() {
  for (auto& [vm_id, vm] : registry_.vms()) {
    const lockhost_mode mode = overcommit_.Of(vm_id).mode;
    if (mode != vm.table->mode()) chosen_.source->SetMode(vm.record, mode);
  }
}

void Agent::WriteHostPage() {
  HostFigures figures = overcommit_.host();
  SetFieldText(figures.boost_mechanism, NameOf(boosts_->mechanism()));
  SetFieldText(figures.boost_reason, boosts_->reason());
  for (const SourceCounter& counter : AllCounters()) {
    if (counter.id.empty() || figures.counter_count == kMaxHostCounters) continue;
    HostFigures::Counter& place = figures.counters[figures.counter_count++];
    SetFieldText(place.id, counter.id);
    place.value = counter.value;
  }
  for (const auto& [vm_id, vm] : registry_.vms()) {
    VmFigures& place = figures.vms[vm.record.vm_index];
    const Overcommit::Vm load = overcommit_.Of(vm_id);
    place.vm_id = vm_id;
    place.load = load.load;
    place.mode = load.mode;
    place.live_vcpus = vm.counts.live;
    place.kvm_stats.fill(kNotKnown);
    const KvmStatValues kvm = kvm_stats_.Of(vm_id);
    boosts_->LookAtCgroup(vm, sysfs_root_);
    place.boost = boosts_->Figures(vm.record.vm_index);
    for (size_t i = 0; i < kvm.size(); ++i) place.kvm_stats[i] = kvm[i].value_or(kNotKnown);
  }
  host_page_->Write(figures);
}

}  // namespace lockhost::agent
