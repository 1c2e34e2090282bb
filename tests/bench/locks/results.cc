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

// A sleep and a wake-up for nothing; client/lock/wait_policy.h takes them to be as dear.
constexpr uint64_t kFalseParkNs = 25'000;

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
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

// By more than one standard deviation of the difference.
bool IsBelow(const Row& row, const Row& peer) {
  const MeanAndDeviation one = Describe(row.ops_per_s);
  const MeanAndDeviation other = Describe(peer.ops_per_s);
  return one.mean < other.mean - std::hypot(one.stddev, other.stddev);
}

void CompareTails(const Row& row, const Row& peer, Summary* summary) {
  const uint64_t peers_ns = peer.acquire_ns.Quantile(0.999);
  if (peers_ns == 0) return;
  const double ratio =
      static_cast<double>(row.acquire_ns.Quantile(0.999)) / static_cast<double>(peers_ns);
  if (ratio <= summary->worst_p999_to_best_peer) return;
  summary->worst_p999_to_best_peer = ratio;
  summary->worst_p999_cell = NameOf(row.cell);
}

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

double Waste::wasted_spin_share() const { return Share(wasted_spin_ns, cpu_ns); }
double Waste::false_park_share() const { return Share(false_parks, parks); }
double Waste::share() const { return Share(wasted_spin_ns + false_parks * kFalseParkNs, cpu_ns); }

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

std::optional<WasteRatio> CompareWaste(const std::string& with, const std::string& without,
                                       long cpus, const std::vector<Row>& rows) {
  WasteRatio ratio;
  GeometricMean throughput;
  const auto add = [](const Waste& waste, Waste& sum) {
    sum.cpu_ns += waste.cpu_ns;
    sum.wasted_spin_ns += waste.wasted_spin_ns;
    sum.parks += waste.parks;
    sum.false_parks += waste.false_parks;
  };
  for (const Row& row : rows) {
    if (row.subject != with || !row.waste.has_value() || Overcommit(row.cell, cpus) <= 1) continue;
    const Row* other = Find(row.cell, without, rows);
    if (other == nullptr || !other->waste.has_value() || other->ops() == 0) continue;
    ++ratio.cells;
    add(*row.waste, ratio.with);
    add(*other->waste, ratio.without);
    throughput.Add(row.ops() / other->ops());
  }
  if (ratio.cells == 0) return std::nullopt;
  ratio.throughput_ratio = throughput.value();
  return ratio;
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
    summary.cells_below_by_a_deviation += IsBelow(row, *best) ? 1 : 0;
    CompareTails(row, *best, &summary);
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
