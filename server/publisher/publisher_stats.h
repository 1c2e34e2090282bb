// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_PUBLISHER_PUBLISHER_STATS_H_
#define LOCKHOST_SERVER_PUBLISHER_PUBLISHER_STATS_H_

#include <array>
#include <atomic>
#include <cstdint>

namespace lockhost::server {

// A histogram that one thread fills and others read. Bounds are upper and inclusive.
struct DelayHistogram {
  static constexpr std::array<uint64_t, 10> kBoundsNs = {
      5'000, 10'000, 20'000, 40'000, 80'000, 160'000, 320'000, 1'000'000, 5'000'000, 20'000'000};
  std::array<std::atomic<uint64_t>, kBoundsNs.size() + 1> counts{};  // the last: above all bounds
  std::atomic<uint64_t> sum_ns{0};

  void Observe(uint64_t delay_ns) {
    size_t bucket = 0;
    while (bucket < kBoundsNs.size() && delay_ns > kBoundsNs[bucket]) ++bucket;
    counts[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_ns.fetch_add(delay_ns, std::memory_order_relaxed);
  }
};

// What the publisher counts for the host as a whole. Thread-safe.
struct PublisherStats {
  std::atomic<uint64_t> events{0};          // hint events taken from the ring
  std::atomic<uint64_t> events_unknown{0};  // of VMs that are not known (any more)
  std::atomic<uint64_t> events_invalid{0};  // records of another size
  std::atomic<uint64_t> wakeups{0};         // of the publisher's thread
  std::atomic<bool> real_time{false};       // it is a real-time thread now
  DelayHistogram delivery;                  // from the switch to gRPC
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_PUBLISHER_PUBLISHER_STATS_H_
