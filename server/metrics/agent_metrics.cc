// SPDX-License-Identifier: Apache-2.0
#include "server/metrics/agent_metrics.h"

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "agent/channel/packet.h"
#include "server/metrics/family.h"

namespace lockhost::server {
namespace {

constexpr double kSecondsPerNs = 1e-9;
constexpr std::array<const char*, 2> kWindows = {"1s", "10s"};
constexpr std::array<const char*, 3> kModes = {"unspecified", "dedicated", "overcommitted"};
using Buckets = std::array<uint64_t, LOCKHOST_DURATION_BUCKETS>;

// Over the vCPUs of one VM.
struct VmBooks {
  agent::VcpuTimes times;
  uint64_t switch_outs = 0;
  uint64_t migrations = 0;
  uint64_t preempted_ns = 0;
  uint64_t holder_preempted_ns = 0;
  Buckets preempted{};
  Buckets holder_preempted{};

  void Add(const agent::VcpuBooks& vcpu, uint64_t now_ns);
};

void VmBooks::Add(const agent::VcpuBooks& vcpu, uint64_t now_ns) {
  const agent::VcpuTimes now = agent::TimesAt(vcpu.slot, vcpu.stats, now_ns);
  times.run_ns += now.run_ns;
  times.halted_ns += now.halted_ns;
  times.exited_ns += now.exited_ns;
  switch_outs += vcpu.stats.switch_outs;
  migrations += vcpu.stats.migrations;
  preempted_ns += vcpu.stats.preempted_ns;
  holder_preempted_ns += vcpu.stats.holder_preempted_ns;
  for (size_t i = 0; i < preempted.size(); ++i) {
    preempted[i] += vcpu.stats.preempted[i];
    holder_preempted[i] += vcpu.stats.holder_preempted[i];
  }
}

std::map<uint64_t, VmBooks> SumUp(const agent::StatsReader& stats, const Records& records,
                                  uint64_t now_ns) {
  std::map<uint64_t, VmDirectory::Record> by_id;
  for (const VmDirectory::Record& record : records) by_id[record->vm_id()] = record;
  std::map<uint64_t, VmBooks> sums;
  for (const agent::StatsReader::Place& place : stats.Places()) {
    const auto record = by_id.find(place.vm_id);
    if (record == by_id.end()) continue;
    const agent::VcpuBooks books = agent::ReadBooks(*record->second->table(), stats, place);
    if (books.stats.vm_id != 0) sums[place.vm_id].Add(books, now_ns);
  }
  return sums;
}

prometheus::ClientMetric Histogram(uint64_t vm_id, const Buckets& buckets, uint64_t sum_ns) {
  prometheus::ClientMetric metric;
  metric.label.push_back({"vm", absl::StrCat(vm_id)});
  uint64_t count = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    count += buckets[i];
    const bool last = i + 1 == buckets.size();
    const double bound = last ? std::numeric_limits<double>::infinity()
                              : static_cast<double>(uint64_t{1} << (i + 11)) * kSecondsPerNs;
    metric.histogram.bucket.push_back({count, bound});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = static_cast<double>(sum_ns) * kSecondsPerNs;
  return metric;
}

void AddWindows(Family* family, const Family::Labels& labels, const std::array<double, 2>& values) {
  for (size_t i = 0; i < kWindows.size(); ++i) {
    Family::Labels all = labels;
    all.emplace_back("window", kWindows[i]);
    family->Add(all, values[i]);
  }
}

void AddHostLoad(const agent::HostFigures& figures, Families* out) {
  out->push_back(GaugeFamily("lockhost_host_cpus", "Online CPUs of the host.")
                     .Add({}, figures.online_cpus)
                     .Take());
  out->push_back(GaugeFamily("lockhost_host_vcpus", "vCPUs that have a thread.")
                     .Add({}, figures.live_vcpus)
                     .Take());
  Family overcommit =
      GaugeFamily("lockhost_host_overcommit_ratio",
                  "Runnable vCPUs and other runnable threads for each CPU, mean of the window.");
  AddWindows(&overcommit, {}, figures.overcommit);
  out->push_back(overcommit.Take());
  Family steal = GaugeFamily("lockhost_host_steal_ratio",
                             "Share of the time in which vCPUs wanted a CPU that they had none.");
  AddWindows(&steal, {}, figures.load.steal_ratio);
  out->push_back(steal.Take());
}

void AddVmLoads(const agent::HostFigures& figures, Families* out) {
  Family runnable = GaugeFamily("lockhost_runnable_vcpus",
                                "vCPUs of a VM that ran or wanted to, mean of the window.");
  Family steal = GaugeFamily("lockhost_steal_ratio",
                             "Share of the time in which a VM wanted a CPU that it had none.");
  Family mode = GaugeFamily("lockhost_mode", "1 for the lock mode that the host advises a VM.");
  for (const agent::VmFigures& vm : figures.vms) {
    if (vm.vm_id == 0) continue;
    const std::string id = absl::StrCat(vm.vm_id);
    AddWindows(&runnable, {{"vm", id}}, vm.load.runnable_vcpus);
    AddWindows(&steal, {{"vm", id}}, vm.load.steal_ratio);
    for (size_t i = 0; i < kModes.size(); ++i) {
      mode.Add({{"vm", id}, {"mode", kModes[i]}}, static_cast<size_t>(vm.mode) == i ? 1 : 0);
    }
  }
  for (Family* family : {&runnable, &steal, &mode}) out->push_back(family->Take());
}

// A count, or a time in nanoseconds that is exported in seconds.
void AddKvmStats(const agent::HostFigures& figures, Families* out) {
  Family events = CounterFamily("lockhost_kvm_events_total", "What KVM counts of a VM's vCPUs.");
  Family times =
      CounterFamily("lockhost_kvm_halt_seconds_total",
                    "Time that halted vCPUs were polled for or slept, as KVM counts it.");
  for (const agent::VmFigures& vm : figures.vms) {
    if (vm.vm_id == 0) continue;
    const std::string id = absl::StrCat(vm.vm_id);
    for (size_t i = 0; i < agent::kKvmStatNames.size(); ++i) {
      if (vm.kvm_stats[i] == agent::kNotKnown) continue;
      const auto value = static_cast<double>(vm.kvm_stats[i]);
      std::string_view name = agent::kKvmStatNames[i];
      if (name.ends_with("_ns")) {
        name.remove_suffix(3);
        times.Add({{"vm", id}, {"kind", std::string(name)}}, value * kSecondsPerNs);
      } else {
        events.Add({{"vm", id}, {"event", std::string(name)}}, value);
      }
    }
  }
  out->push_back(events.Take());
  out->push_back(times.Take());
}

// Boosts of preempted lock holders.
void AddBoosts(const agent::HostFigures& figures, uint64_t now_ns, Families* out) {
  const std::string mechanism(agent::FieldText(figures.boost_mechanism));
  Family ended = CounterFamily("lockhost_boosts_total", "Boosts of a VM's lock holders, by end.");
  Family denied = CounterFamily("lockhost_boosts_denied_total", "Boosts that were not granted.");
  Family seconds =
      CounterFamily("lockhost_boost_seconds_total", "Time that boosted vCPUs of a VM had a CPU.");
  Family budget = GaugeFamily("lockhost_boost_budget_seconds",
                              "Boosted time that a VM may use now; below 0: overdrawn.");
  Family debt =
      GaugeFamily("lockhost_boost_debt_seconds", "Boosted time that a VM is still to make up for.");
  Family repays = GaugeFamily("lockhost_boost_repayable",
                              "0 where a VM cannot be made to pay back, and so is boosted less.");
  Family enabled = GaugeFamily("lockhost_boost_enabled", "1 where a VM's holders are boosted.");
  for (const agent::VmFigures& vm : figures.vms) {
    if (vm.vm_id == 0) continue;
    const std::string id = absl::StrCat(vm.vm_id);
    for (size_t asker = 0; asker < agent::kBoostAskers; ++asker) {
      const std::string asked(agent::kBoostAskerNames[asker]);
      for (size_t i = 0; i < agent::kBoostEnds; ++i) {
        ended.Add({{"vm", id},
                   {"mechanism", mechanism},
                   {"asked", asked},
                   {"result", std::string(agent::kBoostEndNames[i])}},
                  static_cast<double>(vm.boost.ended[asker][i]));
      }
      for (size_t i = 0; i < agent::kBoostDenials; ++i) {
        denied.Add(
            {{"vm", id}, {"asked", asked}, {"reason", std::string(agent::kBoostDenialNames[i])}},
            static_cast<double>(vm.boost.denied[asker][i]));
      }
    }
    seconds.Add({{"vm", id}}, static_cast<double>(vm.boost.boosted_ns) * kSecondsPerNs);
    budget.Add({{"vm", id}},
               static_cast<double>(agent::BudgetLeftNs(vm.boost, now_ns)) * kSecondsPerNs);
    debt.Add({{"vm", id}}, static_cast<double>(vm.boost.debt_ns) * kSecondsPerNs);
    repays.Add({{"vm", id}}, static_cast<double>(vm.boost.repays));
    enabled.Add({{"vm", id}}, static_cast<double>(vm.boost.enabled));
  }
  for (Family* family : {&ended, &denied, &seconds, &budget, &debt, &repays, &enabled}) {
    out->push_back(family->Take());
  }
}

void AddCounters(const agent::HostFigures& figures, Families* out) {
  Family counters = CounterFamily("lockhost_agent_events_total",
                                  "What the agent and its source count (agent/README.md).");
  for (uint32_t i = 0; i < figures.counter_count && i < agent::kMaxHostCounters; ++i) {
    counters.Add({{"event", std::string(agent::FieldText(figures.counters[i].id))}},
                 static_cast<double>(figures.counters[i].value));
  }
  out->push_back(counters.Take());
}

}  // namespace

void AddBooks(const agent::StatsReader* stats, const Records& records, uint64_t now_ns,
              Families* out) {
  if (stats == nullptr) return;
  Family time = CounterFamily("lockhost_vcpu_seconds_total",
                              "Time of a VM's vCPUs in each state, in seconds; what they waited "
                              "for a CPU is lockhost_steal_seconds_total.");
  Family switches = CounterFamily("lockhost_switch_outs_total", "Times a vCPU left its CPU.");
  Family migrations =
      CounterFamily("lockhost_migrations_total", "Times a vCPU went on on another CPU.");
  Family preempted(prometheus::MetricType::Histogram, "lockhost_preemption_seconds",
                   "How long preempted vCPUs were without a CPU.");
  Family holders(prometheus::MetricType::Histogram, "lockhost_lock_holder_preemption_seconds",
                 "The same, of those that held a lock.");
  for (const auto& [vm_id, books] : SumUp(*stats, records, now_ns)) {
    const std::string vm = absl::StrCat(vm_id);
    const auto add_time = [&](const char* state, uint64_t ns) {
      time.Add({{"vm", vm}, {"state", state}}, static_cast<double>(ns) * kSecondsPerNs);
    };
    add_time("running", books.times.run_ns);
    add_time("halted", books.times.halted_ns);
    add_time("exited", books.times.exited_ns);
    switches.Add({{"vm", vm}}, static_cast<double>(books.switch_outs));
    migrations.Add({{"vm", vm}}, static_cast<double>(books.migrations));
    preempted.Add(Histogram(vm_id, books.preempted, books.preempted_ns));
    holders.Add(Histogram(vm_id, books.holder_preempted, books.holder_preempted_ns));
  }
  for (Family* family : {&time, &switches, &migrations, &preempted, &holders}) {
    out->push_back(family->Take());
  }
}

void AddHostPage(const agent::HostPageReader* page, uint64_t now_ns, Families* out) {
  if (page == nullptr) return;
  const std::unique_ptr<agent::HostFigures> figures = page->Read();
  if (figures == nullptr || figures->updated_at_ns == 0) return;
  AddHostLoad(*figures, out);
  AddVmLoads(*figures, out);
  AddKvmStats(*figures, out);
  AddBoosts(*figures, now_ns, out);
  AddCounters(*figures, out);
}

}  // namespace lockhost::server
