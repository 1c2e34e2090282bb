// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_BENCH_RUN_ORDER_H_
#define LOCKHOST_TESTS_BENCH_RUN_ORDER_H_

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <random>
#include <vector>

namespace lockhost::bench {

// In what order the subjects of a cell run in one round; the same each time. Another one each
// round: a run begins where the one before has left the neighbours, on this CPU or on that, and
// what is always measured after the same peer is measured with that peer's luck.
inline std::vector<size_t> RunOrder(size_t subjects, int round) {
  std::vector<size_t> order(subjects);
  std::iota(order.begin(), order.end(), size_t{0});
  std::mt19937 random(static_cast<uint32_t>(round));
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

}  // namespace lockhost::bench

#endif  // LOCKHOST_TESTS_BENCH_RUN_ORDER_H_
