// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_METRICS_AGENT_METRICS_H_
#define LOCKHOST_SERVER_METRICS_AGENT_METRICS_H_

#include <prometheus/metric_family.h>

#include <vector>

#include "agent/table/host_page.h"
#include "agent/table/stats_reader.h"
#include "server/directory/vm_directory.h"

namespace lockhost::server {

using Families = std::vector<prometheus::MetricFamily>;
using Records = std::vector<VmDirectory::Record>;

// What the vCPUs' books say (agent/table/vcpu_stats.h), summed up for each VM up to
// `now_ns`. `stats` null: nothing, for a 0 would be a lie.
void AddBooks(const agent::StatsReader* stats, const Records& records, uint64_t now_ns,
              Families* out);

// What the agent's host page says: overcommit, advised modes, KVM's own counts, and the
// agent's counters, at `now_ns`. `page` null: nothing.
void AddHostPage(const agent::HostPageReader* page, uint64_t now_ns, Families* out);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_METRICS_AGENT_METRICS_H_
