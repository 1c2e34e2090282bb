// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boost/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/bench/boost/report.h"

namespace lockhost::bench {
namespace {

using lab::Pinning;
using lab::Subject;
using testing::HasSubstr;

constexpr Cell kFull = {4, Pinning::kNone, Neighbour::kHogs};
constexpr Cell kHalf = {2, Pinning::kEach, Neighbour::kVm};

// A row all of whose acquisitions but one in 20,000 are quick.
Row MakeRow(const Cell& cell, Subject subject, double ops, uint64_t tail_ns,
            double fairness = 0.9) {
  Row row = {.cell = cell, .subject = subject, .vcpus = 4};
  row.ops_per_s = {ops * 0.9, ops * 1.1};
  row.fairness = {fairness};
  row.neighbour_rate = {100};
  for (int i = 0; i < 19'990; ++i) row.acquire_ns.Add(20);
  for (int i = 0; i < 10; ++i) row.acquire_ns.Add(tail_ns);
  row.seconds = 2;
  return row;
}

Figures Grid() {
  Figures figures;
  for (const Cell& cell : {kFull, kHalf}) {
    figures.rows.push_back(MakeRow(cell, Subject::kTicket, 10, 50'000'000));
    figures.rows.push_back(MakeRow(cell, Subject::kSpinThenFutex, 400, 10'000'000, 0.5));
    figures.rows.push_back(MakeRow(cell, Subject::kLockhostDirect, 300, 8'000'000));
  }
  figures.rows.push_back(MakeRow(kFull, Subject::kLockhostBoost, 800, 1'000'000));
  figures.rows.push_back(MakeRow(kHalf, Subject::kLockhostBoost, 200, 4'000'000, 0.81));
  return figures;
}

TEST(BoostSummary, ComparesWithTheBestLockOfEachCell) {
  const Summary summary = Summarise(Grid());
  EXPECT_NEAR(*summary.geomean_throughput, 1.0, 1e-9);  // 2 and 1/2
  EXPECT_NEAR(summary.throughput->ratio, 0.5, 1e-9);
  EXPECT_EQ(summary.throughput->cell, "2x A vm");
  EXPECT_NEAR(summary.p99999->ratio, 0.4, 0.02);
  EXPECT_EQ(summary.p99999->cell, "2x A vm");
  EXPECT_NEAR(summary.p99999_4x->ratio, 0.1, 0.005);
  EXPECT_NEAR(summary.p9999->ratio, 0.4, 0.02);
}

TEST(BoostSummary, ComparesFairnessWithTheSameLockUnboosted) {
  const Summary summary = Summarise(Grid());
  EXPECT_NEAR(summary.fairness->ratio, 0.9, 1e-9);
  EXPECT_EQ(summary.fairness->cell, "2x A vm");
}

TEST(BoostSummary, LeavesOutCellsWithoutOvercommit) {
  Figures figures = Grid();
  const Cell alone = {1, Pinning::kNone, Neighbour::kNone};
  figures.rows.push_back(MakeRow(alone, Subject::kSpinThenFutex, 1000, 100));
  figures.rows.push_back(MakeRow(alone, Subject::kLockhostBoost, 1, 50'000'000));
  EXPECT_EQ(Summarise(figures).throughput->cell, "2x A vm");
}

TEST(BoostSummary, KeepsHoldersOfBothOvercommitsApart) {
  Figures figures = Grid();
  for (Row& row : figures.rows) {
    if (row.subject == Subject::kLockhostBoost) row.holder_back_ns.Add(90'000);
    if (row.subject == Subject::kLockhostDirect) row.holder_back_ns.Add(8'000'000);
  }
  const Summary summary = Summarise(figures);
  EXPECT_NEAR(*summary.holder_back_us_p50_4x, 90, 2);
  EXPECT_NEAR(*summary.unboosted_us_p99_4x, 8'000, 150);
  EXPECT_FALSE(summary.holder_back_us_p50_3x.has_value());
  EXPECT_FALSE(summary.grpc_us_p50.has_value());
}

TEST(BoostSummary, TakesSharesFromLongRunsByPairs) {
  const auto pairs = [](double vm, double rate) {
    const Shares off = {1, 1, 100};
    // Something outside took half of everything during one run.
    return Pairs{.without = {off, off, off},
                 .with = {{vm, 2 - vm, rate}, {0.5, 0.5, 50}, {vm, 2 - vm, rate}}};
  };
  Figures figures;
  figures.boosted = {{"x", pairs(1.03, 99)}, {"y", pairs(0.95, 97)}, {"z", pairs(1.01, 101)}};
  figures.lies = Pairs{.without = {{0.5, 0.5, 1}}, .with = {{0.404, 0.396, 1}}};
  const Summary summary = Summarise(figures);
  EXPECT_NEAR(summary.neighbour->ratio, 0.97, 1e-9);
  EXPECT_NEAR(summary.cpu_share->ratio, 0.95, 1e-9);
  EXPECT_EQ(summary.cpu_share->cell, "y");
  EXPECT_NEAR(*summary.lying_guest_cpu_moved, 0.01, 1e-9);
  EXPECT_NEAR(*summary.lying_guest_share, 1.01, 1e-9);
}

TEST(BoostSummary, ReckonsGainsInTimeNotInThroughput) {
  Figures figures;
  figures.lock_bound.push_back(MakeRow(kFull, Subject::kTicket, 100, 1));
  figures.lock_bound.push_back(MakeRow(kFull, Subject::kSpinThenFutex, 180, 1));
  figures.lock_bound.push_back(MakeRow(kFull, Subject::kLockhostBoost, 200, 1));
  const Summary summary = Summarise(figures);
  ASSERT_EQ(summary.grid_2010.size(), 1u);
  EXPECT_NEAR(summary.grid_2010[0].over_ticket, 50, 1e-9);
  EXPECT_NEAR(summary.grid_2010[0].over_spin_then_futex, 10, 1e-9);
  EXPECT_EQ(summary.grid_2010[0].in_2010, 14.1);
}

TEST(BoostSummary, PairsAsTheStudyOf2017) {
  Figures figures;
  const Cell beside_host = {2, Pinning::kNone, Neighbour::kHogs};
  figures.lock_bound.push_back(MakeRow(beside_host, Subject::kTestAndSet, 100, 1));
  figures.lock_bound.push_back(MakeRow(beside_host, Subject::kLockhostBoost, 130, 1));
  const Summary summary = Summarise(figures);
  ASSERT_EQ(summary.pairings_2017.size(), 1u);
  EXPECT_EQ(summary.pairings_2017[0].name, "vm + host work");
  EXPECT_NEAR(summary.pairings_2017[0].ratio, 1.3, 1e-9);
}

TEST(BoostCells, TasksComeToTheOvercommitWithNeighboursFrom2xOn) {
  for (const Cell& cell : AllCells()) {
    EXPECT_EQ(VcpusPerCpu(cell.overcommit) + NeighboursPerCpu(cell.overcommit), cell.overcommit);
    EXPECT_EQ(cell.neighbour == Neighbour::kNone, cell.overcommit == 1) << NameOf(cell);
  }
  EXPECT_EQ(AllCells().size(), 3u + 3 * 3 * 2);
}

TEST(BoostReport, WritesTheAgreedNames) {
  const auto json = ToJson({}, Grid());
  const auto& row = json["rows"].back();
  EXPECT_EQ(row["overcommit"], 2);
  EXPECT_EQ(row["pinning"], "A");
  EXPECT_EQ(row["neighbour"], "vm");
  EXPECT_EQ(row["subject"], "lockhost-boost");
  EXPECT_EQ(row["neighbour_ratio"], 1.0);
  for (const char* name : {"fairness", "boosts_per_s", "switches_per_s"}) {
    EXPECT_TRUE(row[name].is_number()) << name;
  }
  for (const char* name : {"p50", "p99", "p999", "p9999", "p99999", "max"}) {
    EXPECT_TRUE(row["acquire_ns"][name].is_number()) << name;
  }
  const auto& summary = json["summary"];
  for (const char* name :
       {"worst_p9999_ratio", "worst_p99999_ratio", "p99999_ratio_4x", "geomean_throughput_ratio",
        "worst_throughput_ratio", "worst_fairness_ratio"}) {
    EXPECT_TRUE(summary[name].is_number()) << name;
  }
  for (const char* name :
       {"holder_back_us_direct_p50", "holder_back_us_direct_p99", "holder_back_us_grpc_p50",
        "holder_back_us_grpc_p99", "worst_neighbour_ratio", "lying_guest_cpu_moved"}) {
    EXPECT_TRUE(summary.contains(name) && summary[name].is_null()) << name;
  }
  EXPECT_TRUE(summary["grid_2010"].is_array());
}

TEST(BoostReport, SaysWhatStandsInForVcpus) {
  lab::Setting real;
  real.kvm = true;
  EXPECT_EQ(TextOf(real).find("threads"), std::string::npos);
  EXPECT_EQ(ToJson(real, {})["kvm"], true);
  lab::Setting threads;
  threads.why_not_kvm = "no /dev/kvm";
  EXPECT_THAT(TextOf(threads), HasSubstr("threads stand in for vCPUs: no /dev/kvm"));
  EXPECT_EQ(ToJson(threads, {})["kvm"], false);
  EXPECT_EQ(ToJson(threads, {})["why_not_kvm"], "no /dev/kvm");
}

TEST(BoostReport, JudgesEachFigureByItsBarInATerminal) {
  Figures figures = Grid();
  figures.absent["lies"] = "no time";
  const std::string text = TextOf(figures);
  EXPECT_THAT(text, HasSubstr("missed 2x A vm"));
  EXPECT_THAT(text, HasSubstr("not measured: lies: no time"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

}  // namespace
}  // namespace lockhost::bench
