// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_METRICS_METRICS_H_
#define LOCKHOST_SERVER_METRICS_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "common/clock.h"
#include "server/directory/host_counters.h"
#include "server/directory/vm_directory.h"
#include "server/publisher/publisher_stats.h"

namespace lockhost::server {

// What Prometheus scrapes, made at the scrape from the tables and counters: nothing is
// done for a metric when the thing itself happens but, at most, one addition. The list
// is in server/README.md. Thread-safe.
class Metrics : public prometheus::Collectable {
 public:
  // All that is pointed to outlives the metrics.
  Metrics(std::string version, const VmDirectory* directory, const PublisherStats* publisher,
          const HostCounters* host, Clock clock)
      : version_(std::move(version)),
        directory_(directory),
        publisher_(publisher),
        host_(host),
        clock_(clock) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::string version_;
  const VmDirectory* const directory_;
  const PublisherStats* const publisher_;
  const HostCounters* const host_;
  const Clock clock_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_METRICS_METRICS_H_
