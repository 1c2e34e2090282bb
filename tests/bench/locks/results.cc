// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/results.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace lockhost::bench {
namespace {

const Row* Find(const Cell& cell, const std::string& subject, const std::vector<Row>& rows) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.cell == cell && row.subject == subject;
  });
  return found == rows.end() ? nullptr : &*found;
}

const Row* BestPeer(const Cell& cell, const std::vector<Row>& rows) {
  const Row* best = nullptr;
  for (const Row& row : rows) {
    if (row.ours || row.cell != cell) continue;
    if (best == nullptr || row.ops() > best->ops()) best = &row;
  }
  return best;
}

class GeometricMean {
 public:
  void Add(double value) {
    sum_of_logs_ += std::log(value);
    ++count_;
  }
  double value() const { return count_ == 0 ? 0 : std::exp(sum_of_logs_ / count_); }

 private:
  double sum_of_logs_ = 0;
  int count_ = 0;
};

}  // namespace

MeanAndDeviation Describe(const std::vector<double>& values) {
  MeanAndDeviation result;
  if (values.empty()) return result;
  const auto count = static_cast<double>(values.size());
  for (const double value : values) result.mean += value / count;
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.stddev = std::sqrt(squares / (count - 1));
  return result;
}

void Row::Add(const Sample& sample) {
  ops_per_s.push_back(sample.ops_per_s);
  if (cell.workload == Workload::kUncontended) ns_per_op.push_back(sample.ns_per_op);
  fairness.push_back(sample.fairness);
  spin_cpu_share.push_back(sample.spin_cpu_share);
  acquire_ns.Merge(sample.acquire_ns);
}

double RatioIn(const Cell& cell, const std::string& subject, const std::string& other,
               const std::vector<Row>& rows) {
  const Row* one = Find(cell, subject, rows);
  const Row* two = Find(cell, other, rows);
  return one == nullptr || two == nullptr || two->ops() == 0 ? 0 : one->ops() / two->ops();
}

Summary Summarise(Workload workload, const std::string& subject, const std::vector<Row>& rows) {
  Summary summary{.workload = workload, .subject = subject};
  summary.worst_fairness = 1;
  GeometricMean to_best_of_each;
  std::map<std::string, GeometricMean> to_peer;
  for (const Row& row : rows) {
    if (row.subject != subject || row.cell.workload != workload) continue;
    const Row* best = BestPeer(row.cell, rows);
    if (best == nullptr || best->ops() == 0) continue;
    const double ratio = row.ops() / best->ops();
    if (++summary.cells == 1 || ratio < summary.worst_ratio_to_best_peer) {
      summary.worst_ratio_to_best_peer = ratio;
      summary.worst_cell = NameOf(row.cell);
      summary.best_peer_of_worst_cell = best->subject;
    }
    summary.cells_below_095 += ratio < 0.95 ? 1 : 0;
    to_best_of_each.Add(ratio);
    for (const Row& peer : rows) {
      if (peer.ours || peer.cell != row.cell || peer.ops() == 0) continue;
      to_peer[peer.subject].Add(row.ops() / peer.ops());
    }
    if (row.cell.threads > 1 && row.cell.locks == 1 && row.cell.gap_ns <= row.cell.cs_ns) {
      summary.worst_fairness = std::min(summary.worst_fairness, Describe(row.fairness).mean);
    }
  }
  summary.geomean_ratio_to_best_of_each_cell = to_best_of_each.value();
  for (const auto& [peer, mean] : to_peer) {
    if (!summary.best_single_peer.empty() && mean.value() >= summary.geomean_ratio_to_best_peer) {
      continue;
    }
    summary.best_single_peer = peer;
    summary.geomean_ratio_to_best_peer = mean.value();
  }
  return summary;
}

}  // namespace lockhost::bench
