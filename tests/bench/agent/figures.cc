// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/agent/figures.h"

#include <algorithm>
#include <cmath>

namespace lockhost::bench {

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

}  // namespace lockhost::bench
