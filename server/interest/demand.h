// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_INTEREST_DEMAND_H_
#define LOCKHOST_SERVER_INTEREST_DEMAND_H_

#include <cstdint>
#include <vector>

namespace lockhost::server {

// What one message of a guest says about its demand; checked already.
struct DemandUpdate {
  bool has_demand = false;
  uint64_t ttl_ns = 0;
  std::vector<uint32_t> awaited;  // vCPU ids < the table's slot count

  // Says nothing of demand: what it names is no reason to wake anybody.
  bool can_wait() const { return !has_demand; }
};

// One VM's demand, and which of its vCPUs are awaited. All of it expires by itself: a
// guest that says nothing more costs nothing more. Pure; the caller gives the time
// (ns, CLOCK_MONOTONIC). Not thread-safe: the publisher's thread owns it.
class Demand {
 public:
  static constexpr uint64_t kMaxTtlNs = 1'000'000'000;  // whatever a guest asks for
  static constexpr uint64_t kAwaitedNs = 300'000'000;   // after the last mention
  static constexpr uint32_t kWords = 16;                // 1,024 vCPUs, as InterestEntry

  // Returns true if demand begins with this update.
  bool Apply(const DemandUpdate& update, uint64_t now_ns);

  bool active(uint64_t now_ns) const { return now_ns < until_ns_; }
  uint64_t until_ns() const { return until_ns_; }

  // Bits of the vCPUs mentioned lately. Two generations of bits, each for kAwaitedNs: a
  // bit lives between one and two of them; no time stamp for each vCPU.
  void AwaitedBits(uint64_t now_ns, uint64_t (&bits)[kWords]);

 private:
  void Age(uint64_t now_ns);

  uint64_t until_ns_ = 0;
  uint64_t turn_ns_ = 0;  // when `fresh_` becomes `old_`
  uint64_t fresh_[kWords] = {};
  uint64_t old_[kWords] = {};
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_INTEREST_DEMAND_H_
