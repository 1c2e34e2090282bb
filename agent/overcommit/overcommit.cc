// SPDX-License-Identifier: Apache-2.0
#include "agent/overcommit/overcommit.h"

#include <algorithm>

namespace lockhost::agent {

void Overcommit::Observe(uint64_t now_ns, const HostLoad& host, std::span<const VmLoad> vms) {
  uint32_t live = 0;
  uint32_t runnable = 0;
  for (const VmLoad& load : vms) {
    ObserveVm(now_ns, load);
    live += load.live_vcpus;
    runnable += load.runnable_now;
  }
  std::erase_if(vms_, [&](const auto& vm) { return vm.second.observed_at_ns != now_ns; });
  host_.live_vcpus = live;
  ObserveHost(now_ns, host, runnable);
  for (auto& [vm_id, vm] : vms_) {
    vm.mode =
        AdvisedMode(vm.mode, {live, host.online_cpus, vm.meter.Figures(), vm.meter.settled()});
  }
}

void Overcommit::ObserveVm(uint64_t now_ns, const VmLoad& load) {
  Followed& vm = vms_[load.vm_id];
  // What a vCPU takes with it when it goes stays in the host's totals.
  run_ns_ += load.run_ns > vm.run_ns ? load.run_ns - vm.run_ns : 0;
  steal_ns_ += load.steal_ns > vm.steal_ns ? load.steal_ns - vm.steal_ns : 0;
  vm.run_ns = load.run_ns;
  vm.steal_ns = load.steal_ns;
  vm.observed_at_ns = now_ns;
  vm.meter.Add(now_ns, load.run_ns, load.steal_ns);
}

void Overcommit::ObserveHost(uint64_t now_ns, const HostLoad& host, uint32_t runnable_vcpus) {
  // The kernel tells how many threads are runnable now, not for how long: each look stands
  // for the time since the one before. One of them is the agent, which is looking.
  const uint32_t others = std::max(host.runnable_threads, runnable_vcpus + 1) - runnable_vcpus - 1;
  if (host_.updated_at_ns != 0) others_ns_ += others * (now_ns - host_.updated_at_ns);
  all_.Add(now_ns, run_ns_, steal_ns_);
  others_.Add(now_ns, others_ns_, 0);
  host_.updated_at_ns = now_ns;
  host_.online_cpus = host.online_cpus;
  host_.load = all_.Figures();
  host_.other_runnable = others_.Figures().runnable_vcpus;
  for (int window : {LoadFigures::kShort, LoadFigures::kLong}) {
    const double runnable = host_.load.runnable_vcpus[window] + host_.other_runnable[window];
    host_.overcommit[window] = host.online_cpus > 0 ? runnable / host.online_cpus : 0;
  }
}

Overcommit::Vm Overcommit::Of(uint64_t vm_id) const {
  const auto vm = vms_.find(vm_id);
  if (vm == vms_.end()) return {};
  return {vm->second.meter.Figures(), vm->second.mode};
}

}  // namespace lockhost::agent
