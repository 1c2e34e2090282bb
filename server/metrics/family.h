// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_METRICS_FAMILY_H_
#define LOCKHOST_SERVER_METRICS_FAMILY_H_

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

namespace lockhost::server {

// Builds one metric family, in the library's plain structs.
class Family {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  Family(prometheus::MetricType type, std::string name, std::string help) {
    family_.type = type;
    family_.name = std::move(name);
    family_.help = std::move(help);
  }

  Family& Add(const Labels& labels, double value) {
    prometheus::ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    if (family_.type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family_.metric.push_back(std::move(metric));
    return *this;
  }

  Family& Add(prometheus::ClientMetric metric) {
    family_.metric.push_back(std::move(metric));
    return *this;
  }

  prometheus::MetricFamily Take() { return std::move(family_); }

 private:
  prometheus::MetricFamily family_;
};

inline Family CounterFamily(std::string name, std::string help) {
  return Family(prometheus::MetricType::Counter, std::move(name), std::move(help));
}
inline Family GaugeFamily(std::string name, std::string help) {
  return Family(prometheus::MetricType::Gauge, std::move(name), std::move(help));
}

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_METRICS_FAMILY_H_
