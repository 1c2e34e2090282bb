// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_COMMON_TOKEN_BUCKET_H_
#define LOCKHOST_COMMON_TOKEN_BUCKET_H_

#include <algorithm>
#include <cstdint>

namespace lockhost {

// So many a second on average, so many at once. Pure; the caller gives the time (ns).
class TokenBucket {
 public:
  // Begins full. REQUIRES: 0 < per_second <= 1e9, 0 < burst.
  constexpr TokenBucket(uint32_t per_second, uint32_t burst)
      : ns_per_token_(1'000'000'000 / per_second), burst_(burst) {}

  // Takes that many if there are as many. The time up to which tokens are paid for lags
  // the clock by at most the burst.
  constexpr bool Take(uint64_t now_ns, uint32_t tokens = 1) {
    const uint64_t burst_ns = uint64_t{burst_} * ns_per_token_;
    const uint64_t oldest_ns = now_ns > burst_ns ? now_ns - burst_ns : 0;
    const uint64_t from_ns = std::max(paid_until_ns_, oldest_ns);
    const uint64_t until_ns = from_ns + uint64_t{tokens} * ns_per_token_;
    if (until_ns > now_ns) return false;
    paid_until_ns_ = until_ns;
    return true;
  }

  // When so many can be taken; may be in the past.
  constexpr uint64_t ReadyAtNs(uint32_t tokens = 1) const {
    return paid_until_ns_ + uint64_t{tokens} * ns_per_token_;
  }

 private:
  uint64_t ns_per_token_;
  uint32_t burst_;
  uint64_t paid_until_ns_ = 0;
};

}  // namespace lockhost

#endif  // LOCKHOST_COMMON_TOKEN_BUCKET_H_
