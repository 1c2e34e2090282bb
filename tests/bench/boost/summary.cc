// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boost/summary.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "tests/lab/harness/summary.h"

namespace lockhost::bench {
namespace {

using lab::Histogram;
using lab::Pinning;
using lab::Share;
using lab::Subject;

constexpr uint32_t kMostOvercommit = 4;

// Percent, at 1x to 4x.
constexpr struct {
  Pinning pinning;
  double gain[kMostOvercommit];
} kSeriesOf2010[] = {{Pinning::kEach, {7.9, 18.1, 21.6, 17.8}},
                     {Pinning::kNone, {10.3, 12.3, 11.6, 14.1}},
                     {Pinning::kOneCpu, {25.5, 17.6, 14.4, 10.4}}};

std::optional<double> QuantileUs(const Histogram& ns, double quantile) {
  if (ns.Total() == 0) return std::nullopt;
  return static_cast<double>(ns.Quantile(quantile)) / 1e3;
}

// Of all cells with that overcommit.
Histogram HolderBack(const std::vector<Row>& rows, Subject subject, uint32_t overcommit) {
  Histogram all = {};
  for (const Row& row : rows) {
    if (row.subject == subject && row.cell.overcommit == overcommit) all.Merge(row.holder_back_ns);
  }
  return all;
}

void Note(std::optional<Worst>& worst, double ratio, const std::string& cell, bool is_worse) {
  if (!worst.has_value() || is_worse) worst = Worst{.ratio = ratio, .cell = cell};
}
void NoteLargest(std::optional<Worst>& worst, double ratio, const std::string& cell) {
  Note(worst, ratio, cell, worst.has_value() && ratio > worst->ratio);
}
void NoteSmallest(std::optional<Worst>& worst, double ratio, const std::string& cell) {
  Note(worst, ratio, cell, worst.has_value() && ratio < worst->ratio);
}

double TailRatio(const Row& one, const Row& other, double quantile) {
  return Share(static_cast<double>(one.acquire_ns.Quantile(quantile)),
               static_cast<double>(other.acquire_ns.Quantile(quantile)));
}

void AddTails(const Row& boosted, const Row& best, Summary& summary) {
  const std::string cell = NameOf(boosted.cell);
  NoteLargest(summary.p9999, TailRatio(boosted, best, 0.9999), cell);
  const double p99999 = TailRatio(boosted, best, 0.99999);
  NoteLargest(summary.p99999, p99999, cell);
  if (boosted.cell.overcommit == kMostOvercommit) NoteLargest(summary.p99999_4x, p99999, cell);
}

void AddGrid(const std::vector<Row>& rows, Summary& summary) {
  double logs = 0;
  int cells = 0;
  for (const Row& boosted : rows) {
    if (boosted.subject != Subject::kLockhostBoost || boosted.cell.overcommit < 2) continue;
    const Row* best = BestWithoutBoost(rows, boosted.cell);
    if (best == nullptr) continue;
    AddTails(boosted, *best, summary);
    const double faster = Share(Mean(boosted.ops_per_s), Mean(best->ops_per_s));
    NoteSmallest(summary.throughput, faster, NameOf(boosted.cell));
    logs += std::log(faster);
    ++cells;
    const Row* direct = Find(rows, boosted.cell, Subject::kLockhostDirect);
    if (direct == nullptr) continue;
    NoteSmallest(summary.fairness, Share(Mean(boosted.fairness), Mean(direct->fairness)),
                 NameOf(boosted.cell));
  }
  if (cells != 0) summary.geomean_throughput = std::exp(logs / cells);
}

void AddHolderBack(const Figures& figures, Summary& summary) {
  const Histogram at_4x = HolderBack(figures.rows, Subject::kLockhostBoost, 4);
  const Histogram at_3x = HolderBack(figures.rows, Subject::kLockhostBoost, 3);
  const Histogram unboosted = HolderBack(figures.rows, Subject::kLockhostDirect, 4);
  summary.holder_back_us_p50_4x = QuantileUs(at_4x, 0.5);
  summary.holder_back_us_p99_4x = QuantileUs(at_4x, 0.99);
  summary.holder_back_us_p50_3x = QuantileUs(at_3x, 0.5);
  summary.holder_back_us_p99_3x = QuantileUs(at_3x, 0.99);
  summary.unboosted_us_p50_4x = QuantileUs(unboosted, 0.5);
  summary.unboosted_us_p99_4x = QuantileUs(unboosted, 0.99);
  summary.grpc_us_p50 = QuantileUs(figures.grpc_holder_back_ns, 0.5);
  summary.grpc_us_p99 = QuantileUs(figures.grpc_holder_back_ns, 0.99);
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Of the ratios of each pair: a pair that something outside disturbed counts for one alone.
double RatioOf(const Pairs& pairs, double (*what)(const Shares&)) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(pairs.with.size(), pairs.without.size()); ++i) {
    ratios.push_back(Share(what(pairs.with[i]), what(pairs.without[i])));
  }
  return Median(std::move(ratios));
}

// Of the time that the two had together, for what others on this host take is not theirs.
double NeighboursShare(const Shares& run) { return Share(run.neighbour, run.neighbour + run.vm); }
double VmShare(const Shares& run) { return Share(run.vm, run.neighbour + run.vm); }
double NeighboursRate(const Shares& run) { return run.neighbour_rate; }

void AddShares(const Figures& figures, Summary& summary) {
  for (const auto& [cell, pairs] : figures.boosted) {
    NoteSmallest(summary.neighbour, RatioOf(pairs, NeighboursRate), cell);
    const double share = RatioOf(pairs, VmShare);
    const bool is_worse =
        summary.cpu_share && std::abs(share - 1) > std::abs(summary.cpu_share->ratio - 1);
    Note(summary.cpu_share, share, cell, is_worse);
  }
  if (!figures.lies) return;
  summary.lying_guest_cpu_moved = 1 - RatioOf(*figures.lies, NeighboursShare);
  summary.lying_guest_share = RatioOf(*figures.lies, VmShare);
}

// The same work is done in less time by as much as more is done in the same time.
double GainPercent(const Row& ours, const Row& theirs) {
  return 100 * (1 - Share(Mean(theirs.ops_per_s), Mean(ours.ops_per_s)));
}

void AddGridOf2010(const std::vector<Row>& rows, Summary& summary) {
  for (const auto& [pinning, gains] : kSeriesOf2010) {
    for (uint32_t overcommit = 1; overcommit <= kMostOvercommit; ++overcommit) {
      const Cell cell = {overcommit, pinning,
                         overcommit == 1 ? Neighbour::kNone : Neighbour::kHogs};
      const Row* ours = Find(rows, cell, Subject::kLockhostBoost);
      const Row* ticket = Find(rows, cell, Subject::kTicket);
      const Row* futex = Find(rows, cell, Subject::kSpinThenFutex);
      if (ours == nullptr || ticket == nullptr || futex == nullptr) continue;
      summary.grid_2010.push_back({.cell = cell,
                                   .over_ticket = GainPercent(*ours, *ticket),
                                   .over_spin_then_futex = GainPercent(*ours, *futex),
                                   .in_2010 = gains[overcommit - 1]});
    }
  }
}

void AddPairingsOf2017(const std::vector<Row>& rows, Summary& summary) {
  const std::pair<const char*, Cell> pairings[] = {
      {"vm alone", {1, Pinning::kNone, Neighbour::kNone}},
      {"vm + host work", {2, Pinning::kNone, Neighbour::kHogs}},
      {"vm + vm", {2, Pinning::kNone, Neighbour::kVm}}};
  for (const auto& [name, cell] : pairings) {
    const Row* ours = Find(rows, cell, Subject::kLockhostBoost);
    const Row* naive = Find(rows, cell, Subject::kTestAndSet);
    if (ours == nullptr || naive == nullptr) continue;
    summary.pairings_2017.push_back(
        {.name = name, .ratio = Share(Mean(ours->ops_per_s), Mean(naive->ops_per_s))});
  }
}

}  // namespace

double Mean(const std::vector<double>& values) { return lab::Summarise(values).mean; }

const Row* Find(const std::vector<Row>& rows, const Cell& cell, Subject subject) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.cell == cell && row.subject == subject;
  });
  return found == rows.end() ? nullptr : &*found;
}

const Row* BestWithoutBoost(const std::vector<Row>& rows, const Cell& cell) {
  const Row* best = nullptr;
  for (const Row& row : rows) {
    if (row.cell != cell || row.subject == Subject::kLockhostBoost) continue;
    if (best == nullptr || Mean(row.ops_per_s) > Mean(best->ops_per_s)) best = &row;
  }
  return best;
}

std::optional<double> NeighbourRatio(const std::vector<Row>& rows, const Cell& cell) {
  const Row* boosted = Find(rows, cell, Subject::kLockhostBoost);
  const Row* direct = Find(rows, cell, Subject::kLockhostDirect);
  if (boosted == nullptr || direct == nullptr || Mean(direct->neighbour_rate) == 0) {
    return std::nullopt;
  }
  return Mean(boosted->neighbour_rate) / Mean(direct->neighbour_rate);
}

Summary Summarise(const Figures& figures) {
  Summary summary;
  AddHolderBack(figures, summary);
  AddGrid(figures.rows, summary);
  AddShares(figures, summary);
  AddGridOf2010(figures.lock_bound, summary);
  AddPairingsOf2017(figures.lock_bound, summary);
  return summary;
}

}  // namespace lockhost::bench
