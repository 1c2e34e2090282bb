// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_SERVICE_FIGURES_H_
#define LOCKHOST_TESTS_BENCH_SERVICE_FIGURES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/lab/demo/results.h"

namespace lockhost::bench {

// From the switch that stops a vCPU that somebody waits for to the guest agent's page.
struct Delivery {
  uint32_t overcommit = 0;  // vCPUs for each CPU
  lab::Histogram delivery_ns = {};
};

// Many guests at once, each with a stream and demand, on one lockhostd.
struct FanOut {
  int guests = 0;
  int vcpus = 0;
  double changes_per_second = 0;   // of run states, by the revisions in the tables
  double messages_per_second = 0;  // received by all guests
  // From a vCPU's stop to the message that tells it, in the receiving thread. Stops: what
  // a vCPU stays in, so that the table still says when it was; awaited ones, of known time.
  lab::Histogram delivery_ns = {};
  double server_cpu_percent = 0;  // of one CPU
  uint64_t server_rss_bytes = 0;
  int server_threads = 0;
  int server_threads_with_one_guest = 0;
};

// What could not be measured is empty, and `absent` says why, by name.
struct Figures {
  std::vector<Delivery> delivery;
  std::optional<lab::Perturbation> cost;
  std::optional<FanOut> fan_out;
  // Empty: real vCPUs. Else threads stood in for them, because of this.
  std::string why_not_kvm;
  std::map<std::string, std::string> absent;
};

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_SERVICE_FIGURES_H_
