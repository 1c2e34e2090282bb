// SPDX-License-Identifier: Apache-2.0
#include "server/metrics/metrics.h"

#include <array>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/metrics/agent_metrics.h"
#include "server/metrics/family.h"

namespace lockhost::server {
namespace {

constexpr std::array<const char*, 5> kStateNames = {"unspecified", "running", "preempted", "halted",
                                                    "exited"};
constexpr std::array<const char*, 4> kSnapshotReasons = {"unspecified", "opened", "resync",
                                                         "new_generation"};
constexpr double kSecondsPerNs = 1e-9;

// Sums over the vCPUs of one VM.
struct VmSums {
  std::array<uint64_t, kStateNames.size()> by_state{};
  uint64_t preemptions = 0;
  uint64_t lock_holder_preemptions = 0;
  uint64_t steal_ns = 0;
};

VmSums SumUp(const agent::TableReader& table) {
  VmSums sums;
  for (uint32_t vcpu_id = 0; vcpu_id < table.slot_count(); ++vcpu_id) {
    if (table.ReadStateWord(vcpu_id) == 0) continue;
    const agent::VcpuObservation seen = table.Read(vcpu_id);
    const uint32_t state = seen.run_state();
    ++sums.by_state[state < sums.by_state.size() ? state : 0];
    sums.preemptions += seen.preemptions;
    sums.lock_holder_preemptions += seen.lock_holder_preemptions;
    sums.steal_ns += seen.steal_ns;
  }
  return sums;
}

// One value a VM.
template <typename Value>
prometheus::MetricFamily PerVm(Family family, const Records& records, Value value) {
  for (const VmDirectory::Record& record : records) {
    family.Add({{"vm", absl::StrCat(record->vm_id())}},
               static_cast<double>(value(record->counters())));
  }
  return family.Take();
}

void AddHost(const std::string& version, const SourceState& source, size_t vms, Families* out) {
  out->push_back(GaugeFamily("lockhost_build_info", "Version of lockhostd; always 1.")
                     .Add({{"version", version}}, 1)
                     .Take());
  out->push_back(GaugeFamily("lockhost_agent_connected", "1 while lockhost-agent is connected.")
                     .Add({}, source.connected ? 1 : 0)
                     .Take());
  Family up = GaugeFamily("lockhost_source_up", "1 for the source of run states that is in use.");
  for (const auto kind :
       {agent::SourceKind::kBpf, agent::SourceKind::kPerf, agent::SourceKind::kProcfs}) {
    up.Add({{"source", SourceName(kind)}}, source.connected && source.kind == kind ? 1 : 0);
  }
  out->push_back(up.Take());
  out->push_back(GaugeFamily("lockhost_vms", "VMs that the agent knows.")
                     .Add({}, static_cast<double>(vms))
                     .Take());
}

void AddTables(const Records& records, Families* out) {
  Family info = GaugeFamily("lockhost_vm_info", "Names of a VM; always 1.");
  Family vcpus = GaugeFamily("lockhost_vcpus", "vCPUs of a VM by run state.");
  Family preemptions = CounterFamily("lockhost_preemptions_total",
                                     "Times a vCPU was switched out while it wanted to run.");
  Family holders =
      CounterFamily("lockhost_lock_holder_preemptions_total",
                    "Preemptions of a vCPU that held a lock, as far as its reports say.");
  Family steal = CounterFamily("lockhost_steal_seconds_total",
                               "Time that vCPUs wanted a CPU and had none, in seconds.");
  for (const VmDirectory::Record& record : records) {
    const std::string vm = absl::StrCat(record->vm_id());
    const VmFacts facts = record->facts();
    info.Add({{"vm", vm},
              {"name", facts.name},
              {"vmm", facts.vmm},
              {"uuid", facts.uuid},
              {"accelerator", facts.accelerator}},
             1);
    const VmSums sums = SumUp(*record->table());
    for (size_t state = 0; state < kStateNames.size(); ++state) {
      vcpus.Add({{"vm", vm}, {"state", kStateNames[state]}},
                static_cast<double>(sums.by_state[state]));
    }
    preemptions.Add({{"vm", vm}}, static_cast<double>(sums.preemptions));
    holders.Add({{"vm", vm}}, static_cast<double>(sums.lock_holder_preemptions));
    steal.Add({{"vm", vm}}, static_cast<double>(sums.steal_ns) * kSecondsPerNs);
  }
  for (Family* family : {&info, &vcpus, &preemptions, &holders, &steal}) {
    out->push_back(family->Take());
  }
}

void AddStreams(const Records& records, Families* out) {
  out->push_back(PerVm(GaugeFamily("lockhost_streams", "Open WatchHints streams."), records,
                       [](const VmCounters& c) { return c.streams.load(); }));
  out->push_back(PerVm(GaugeFamily("lockhost_demand", "1 while the guest shows demand."), records,
                       [](const VmCounters& c) { return c.demand.load(); }));
  out->push_back(PerVm(CounterFamily("lockhost_streams_refused_total",
                                     "Streams refused: too many, or a bad request."),
                       records, [](const VmCounters& c) { return c.streams_refused.load(); }));
  out->push_back(PerVm(CounterFamily("lockhost_hints_sent_total", "vCPU states sent."), records,
                       [](const VmCounters& c) { return c.hints.load(); }));
  out->push_back(PerVm(CounterFamily("lockhost_deltas_sent_total", "Delta messages sent."), records,
                       [](const VmCounters& c) { return c.deltas.load(); }));
  out->push_back(PerVm(CounterFamily("lockhost_messages_past_grpc_total",
                                     "Messages written to the connection by lockhostd itself."),
                       records, [](const VmCounters& c) { return c.messages_past_grpc.load(); }));
  out->push_back(PerVm(CounterFamily("lockhost_heartbeats_sent_total", "Heartbeats sent."), records,
                       [](const VmCounters& c) { return c.heartbeats.load(); }));
  Family snapshots = CounterFamily("lockhost_snapshots_sent_total", "Snapshots sent, by reason.");
  for (const VmDirectory::Record& record : records) {
    for (size_t reason = 1; reason < kSnapshotReasons.size(); ++reason) {
      snapshots.Add({{"vm", absl::StrCat(record->vm_id())}, {"reason", kSnapshotReasons[reason]}},
                    static_cast<double>(record->counters().snapshots[reason].load()));
    }
  }
  out->push_back(snapshots.Take());
}

void AddReports(const Records& records, Families* out) {
  Family reports =
      CounterFamily("lockhost_reports_total", "ReportHolders messages of a guest, by result.");
  for (const VmDirectory::Record& record : records) {
    const std::string vm = absl::StrCat(record->vm_id());
    const VmCounters& counters = record->counters();
    const auto add = [&](const char* result, uint64_t value) {
      reports.Add({{"vm", vm}, {"result", result}}, static_cast<double>(value));
    };
    add("accepted", counters.reports_accepted);
    add("outdated", counters.reports_outdated);
    add("invalid", counters.reports_invalid);
    add("too_fast", counters.reports_too_fast);
  }
  out->push_back(reports.Take());
}

void AddBoostRequests(const Records& records, Families* out) {
  Family requests = CounterFamily("lockhost_boost_requests_total",
                                  "Boosts that a guest asked for by its reports, by result.");
  for (const VmDirectory::Record& record : records) {
    const std::string vm = absl::StrCat(record->vm_id());
    const VmCounters& counters = record->counters();
    const auto add = [&](const char* result, uint64_t value) {
      requests.Add({{"vm", vm}, {"result", result}}, static_cast<double>(value));
    };
    add("forwarded", counters.boosts_forwarded);
    add("stale", counters.boosts_stale);
    add("too_fast", counters.boosts_too_fast);
    add("unsent", counters.boosts_unsent);
  }
  out->push_back(requests.Take());
}

void AddConnections(const Records& records, Families* out) {
  out->push_back(PerVm(GaugeFamily("lockhost_connections", "Open connections of a guest."), records,
                       [](const VmCounters& c) { return c.connections.open.load(); }));
  out->push_back(PerVm(CounterFamily("lockhost_connections_total", "Connections taken."), records,
                       [](const VmCounters& c) { return c.connections.accepted.load(); }));
  out->push_back(PerVm(CounterFamily("lockhost_accept_pauses_total",
                                     "Times that a guest's connections had to wait: too fast."),
                       records,
                       [](const VmCounters& c) { return c.connections.accept_pauses.load(); }));
  Family refused = CounterFamily("lockhost_connections_refused_total",
                                 "Connections of a guest that we closed by ourselves, by reason.");
  for (const VmDirectory::Record& record : records) {
    for (size_t reason = 0; reason < kRefusalNames.size(); ++reason) {
      refused.Add({{"vm", absl::StrCat(record->vm_id())}, {"reason", kRefusalNames[reason]}},
                  static_cast<double>(record->counters().connections.refused[reason].load()));
    }
  }
  out->push_back(refused.Take());
}

prometheus::ClientMetric ToMetric(const DelayHistogram& histogram) {
  prometheus::ClientMetric metric;
  uint64_t count = 0;
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    count += histogram.counts[i];
    const bool last = i == DelayHistogram::kBoundsNs.size();
    const double bound = last ? std::numeric_limits<double>::infinity()
                              : static_cast<double>(DelayHistogram::kBoundsNs[i]) * kSecondsPerNs;
    metric.histogram.bucket.push_back({count, bound});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = static_cast<double>(histogram.sum_ns) * kSecondsPerNs;
  return metric;
}

void AddPublisher(const PublisherStats& stats, Families* out) {
  out->push_back(CounterFamily("lockhost_hint_events_total", "Events taken from the hint ring.")
                     .Add({}, static_cast<double>(stats.events))
                     .Take());
  out->push_back(CounterFamily("lockhost_hint_events_discarded_total",
                               "Events of the hint ring that were of no use, by reason.")
                     .Add({{"reason", "unknown_vm"}}, static_cast<double>(stats.events_unknown))
                     .Add({{"reason", "invalid"}}, static_cast<double>(stats.events_invalid))
                     .Take());
  out->push_back(
      CounterFamily("lockhost_publisher_wakeups_total", "Times the publisher's thread woke up.")
          .Add({}, static_cast<double>(stats.wakeups))
          .Take());
  out->push_back(GaugeFamily("lockhost_publisher_real_time",
                             "1 while the publisher's thread is a real-time thread.")
                     .Add({}, stats.real_time ? 1 : 0)
                     .Take());
  out->push_back(Family(prometheus::MetricType::Histogram, "lockhost_hint_delivery_seconds",
                        "From a vCPU's switch to handing the delta that tells it to gRPC.")
                     .Add(ToMetric(stats.delivery))
                     .Take());
}

void AddTls(const TlsCounters& tls, Families* out) {
  out->push_back(CounterFamily("lockhost_tls_accept_pauses_total",
                               "Times that TLS connections had to wait: too fast.")
                     .Add({}, static_cast<double>(tls.accept_pauses))
                     .Take());
  Family refused = CounterFamily("lockhost_tls_refused_total",
                                 "TLS connections that came to no VM's server, by reason.");
  for (size_t reason = 0; reason < kTlsRefusalNames.size(); ++reason) {
    refused.Add({{"reason", kTlsRefusalNames[reason]}},
                static_cast<double>(tls.refused[reason].load()));
  }
  out->push_back(refused.Take());
}

void AddHostCounters(const HostCounters& host, Families* out) {
  out->push_back(CounterFamily("lockhost_config_reloads_total",
                               "Times the configuration was read again, by result.")
                     .Add({{"result", "applied"}}, static_cast<double>(host.reloads_applied))
                     .Add({{"result", "refused"}}, static_cast<double>(host.reloads_refused))
                     .Take());
  out->push_back(CounterFamily("lockhost_admin_refused_total",
                               "Connections to the admin socket of peers that may not speak there.")
                     .Add({}, static_cast<double>(host.admin_refused))
                     .Take());
  out->push_back(
      CounterFamily("lockhost_vsock_refused_total",
                    "vsock connections that belong to no VM for certain, by reason.")
          .Add({{"reason", "unknown_cid"}}, static_cast<double>(host.vsock_unknown_cid))
          .Add({{"reason", "claimed_twice"}}, static_cast<double>(host.vsock_claimed_twice))
          .Take());
}

}  // namespace

std::vector<prometheus::MetricFamily> Metrics::Collect() const {
  const Records records = directory_->All();
  const SourceState source = directory_->source();
  Families families;
  AddHost(version_, source, records.size(), &families);
  AddTables(records, &families);
  AddBooks(source.stats.get(), records, clock_.now_ns(), &families);
  AddHostPage(source.host_page.get(), clock_.now_ns(), &families);
  AddStreams(records, &families);
  AddReports(records, &families);
  AddBoostRequests(records, &families);
  AddConnections(records, &families);
  AddPublisher(*publisher_, &families);
  AddHostCounters(*host_, &families);
  AddTls(host_->tls, &families);
  return families;
}

}  // namespace lockhost::server
