// SPDX-License-Identifier: Apache-2.0
//
// Log-linear histogram (as in HdrHistogram, https://hdrhistogram.org): 32 equal
// buckets between two powers of two, so a bucket is at most 1/32 of its values wide
// and the value given back is off by at most 1.6%. Filled in the freestanding guest,
// read by the harness: no constructor, no libc, all zero when empty.
//
// Not thread-safe: one writer; read only when the writer has stopped.
#ifndef LOCKHOST_TESTS_LAB_ABI_HISTOGRAM_H_
#define LOCKHOST_TESTS_LAB_ABI_HISTOGRAM_H_

#include <stdint.h>

namespace lockhost::lab {

struct Histogram {
  static constexpr uint32_t kSubBits = 5;
  static constexpr uint32_t kMaxBits = 44;  // larger values count as the largest bucket
  static constexpr uint32_t kBuckets = (kMaxBits - kSubBits + 1) << kSubBits;

  uint64_t count[kBuckets];
  uint64_t max;  // exact

  static constexpr uint32_t BucketOf(uint64_t value) {
    constexpr uint64_t kSub = 1u << kSubBits;
    if (value < kSub) return static_cast<uint32_t>(value);
    if (value >> kMaxBits) return kBuckets - 1;
    const uint32_t shift = 63 - static_cast<uint32_t>(__builtin_clzll(value)) - kSubBits;
    return (shift << kSubBits) + static_cast<uint32_t>(value >> shift);
  }

  // The middle of a bucket.
  static constexpr uint64_t ValueOf(uint32_t bucket) {
    constexpr uint32_t kSub = 1u << kSubBits;
    if (bucket < 2 * kSub) return bucket;
    const uint32_t shift = (bucket >> kSubBits) - 1;
    const uint64_t low = static_cast<uint64_t>((bucket & (kSub - 1)) + kSub) << shift;
    return low + (uint64_t{1} << shift) / 2;
  }

  void Add(uint64_t value) {
    ++count[BucketOf(value)];
    if (value > max) max = value;
  }

  void Merge(const Histogram& other) {
    for (uint32_t i = 0; i < kBuckets; ++i) count[i] += other.count[i];
    if (other.max > max) max = other.max;
  }

  uint64_t Total() const {
    uint64_t total = 0;
    for (const uint64_t c : count) total += c;
    return total;
  }

  // The value below which a share of `quantile` of all lie; 0 when empty.
  uint64_t Quantile(double quantile) const {
    const double wanted = quantile * static_cast<double>(Total());
    uint64_t seen = 0;
    for (uint32_t i = 0; i < kBuckets; ++i) {
      seen += count[i];
      if (seen != 0 && static_cast<double>(seen) >= wanted) {
        return ValueOf(i) < max ? ValueOf(i) : max;
      }
    }
    return max;
  }
};

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_ABI_HISTOGRAM_H_
