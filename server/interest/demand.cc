// SPDX-License-Identifier: Apache-2.0
#include "server/interest/demand.h"

#include <algorithm>

namespace lockhost::server {

bool Demand::Apply(const DemandUpdate& update, uint64_t now_ns) {
  const bool before = active(now_ns);
  Age(now_ns);
  if (update.has_demand) until_ns_ = now_ns + std::min(update.ttl_ns, kMaxTtlNs);
  for (const uint32_t vcpu_id : update.awaited) {
    if (vcpu_id < kWords * 64) fresh_[vcpu_id / 64] |= uint64_t{1} << vcpu_id % 64;
  }
  return !before && active(now_ns);
}

void Demand::AwaitedBits(uint64_t now_ns, uint64_t (&bits)[kWords]) {
  Age(now_ns);
  for (uint32_t i = 0; i < kWords; ++i) bits[i] = fresh_[i] | old_[i];
}

void Demand::Age(uint64_t now_ns) {
  if (now_ns < turn_ns_) return;
  const bool both = now_ns >= turn_ns_ + kAwaitedNs;
  for (uint32_t i = 0; i < kWords; ++i) {
    old_[i] = both ? 0 : fresh_[i];
    fresh_[i] = 0;
  }
  turn_ns_ = now_ns + kAwaitedNs;
}

}  // namespace lockhost::server
