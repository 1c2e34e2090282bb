// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/demo/results.h"

#include <algorithm>

namespace lockhost::lab {
namespace {

constexpr uint32_t kDeliveryRatio = 2;
constexpr char kNoOracle[] = "no oracle: the agent's source is not BPF";

}  // namespace

const Cell* Results::Find(Subject subject, uint32_t ratio, uint64_t critical_ns) const {
  for (const std::unique_ptr<Cell>& cell : cells) {
    if (cell->subject == subject && cell->ratio == ratio &&
        cell->section.critical_ns == critical_ns) {
      return cell.get();
    }
  }
  return nullptr;
}

const Cell* Results::Best(uint32_t ratio, uint64_t critical_ns) const {
  const Cell* best = nullptr;
  for (const std::unique_ptr<Cell>& cell : cells) {
    if (cell->ratio != ratio || cell->section.critical_ns != critical_ns) continue;
    if (best == nullptr || cell->summary.throughput().mean > best->summary.throughput().mean) {
      best = cell.get();
    }
  }
  return best;
}

std::vector<uint32_t> Results::Ratios() const {
  std::vector<uint32_t> ratios;
  for (const std::unique_ptr<Cell>& cell : cells) {
    if (ratios.empty() || ratios.back() != cell->ratio) ratios.push_back(cell->ratio);
  }
  return ratios;
}

PathFacts Results::Facts(Subject subject, uint32_t ratio) const {
  PathFacts facts;
  for (const std::unique_ptr<Cell>& cell : cells) {
    if (cell->subject != subject || cell->ratio != ratio) continue;
    const RunResult& sum = cell->summary.sum();
    facts.judged_ns += sum.judged_ns;
    facts.agreed_ns += sum.agreed_ns;
    facts.false_running_ns += sum.false_running_ns;
    facts.false_preempted_ns += sum.false_preempted_ns;
    facts.no_hint_ns += sum.no_hint_ns;
    facts.delivery_ns.Merge(sum.delivery_ns);
  }
  return facts;
}

Finding<Quantiles> Results::Delivery(Subject subject) const {
  if (!setting.oracle) return {.value = std::nullopt, .absent_because = kNoOracle};
  const std::vector<uint32_t> ratios = Ratios();
  if (ratios.empty()) return {.value = std::nullopt, .absent_because = "nothing was run"};
  const bool has_it = std::count(ratios.begin(), ratios.end(), kDeliveryRatio) != 0;
  const PathFacts facts = Facts(subject, has_it ? kDeliveryRatio : ratios.back());
  const uint64_t samples = facts.delivery_ns.Total();
  if (samples == 0)
    return {.value = std::nullopt, .absent_because = "no hint was watched arriving"};
  return {.value = Quantiles{.p50 = static_cast<double>(facts.delivery_ns.Quantile(0.5)) / 1e3,
                             .p99 = static_cast<double>(facts.delivery_ns.Quantile(0.99)) / 1e3,
                             .samples = samples},
          .absent_because = ""};
}

Finding<double> Results::Agreement(Subject subject) const {
  if (!setting.oracle) return {.value = std::nullopt, .absent_because = kNoOracle};
  Finding<double> worst = {.value = std::nullopt,
                           .absent_because = "nobody waited at a ratio above 1"};
  for (const uint32_t ratio : Ratios()) {
    const PathFacts facts = Facts(subject, ratio);
    if (ratio == 1 || facts.judged_ns == 0) continue;
    const double here =
        Share(static_cast<double>(facts.agreed_ns), static_cast<double>(facts.judged_ns));
    worst = {.value = std::min(worst.value.value_or(1.0), here), .absent_because = ""};
  }
  return worst;
}

}  // namespace lockhost::lab
