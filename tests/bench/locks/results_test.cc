// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/results.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/bench/locks/lab.h"
#include "tests/bench/locks/output.h"
#include "tests/bench/locks/plots.h"
#include "tests/bench/locks/runner.h"
#include "tests/bench/locks/subject.h"
#include "tests/bench/locks/team.h"
#include "tests/bench/run_order.h"

namespace lockhost::bench {
namespace {

constexpr Cell kTwo{Workload::kThreads, 2, 100, 0, 1};
constexpr Cell kFour{Workload::kThreads, 4, 100, 0, 1};

Row Of(const Cell& cell, const char* subject, bool ours, std::vector<double> ops) {
  Row row{.cell = cell, .subject = subject, .ours = ours, .ops_per_s = ops};
  row.fairness = {0.5, 0.7};
  return row;
}

TEST(RunOrderTest, EachSubjectOnceAndNotAlwaysAfterTheSame) {
  std::set<size_t> before_zero;
  for (int round = 0; round < 20; ++round) {
    const std::vector<size_t> order = RunOrder(5, round);
    EXPECT_EQ(std::set<size_t>(order.begin(), order.end()), (std::set<size_t>{0, 1, 2, 3, 4}));
    EXPECT_EQ(order, RunOrder(5, round)) << "the same in each run of the program";
    const auto zero = std::find(order.begin(), order.end(), size_t{0});
    if (zero != order.begin()) before_zero.insert(*(zero - 1));
  }
  EXPECT_EQ(before_zero.size(), 4u);
}

TEST(DescribeTest, MeanAndDeviationOfTheSample) {
  const MeanAndDeviation described = Describe({1, 2, 3, 4});
  EXPECT_DOUBLE_EQ(described.mean, 2.5);
  EXPECT_NEAR(described.stddev, 1.290994, 1e-6);
  EXPECT_EQ(Describe({}).mean, 0);
  EXPECT_EQ(Describe({7}).stddev, 0);
}

TEST(SummariseTest, ComparesWithTheBestPeerOfEachCellAndWithTheBestSingleOne) {
  const std::vector<Row> rows = {
      Of(kTwo, "x", false, {100}),      Of(kTwo, "y", false, {50}),
      Of(kTwo, "lockhost", true, {80}), Of(kTwo, "lockhost-other", true, {900}),
      Of(kFour, "x", false, {10}),      Of(kFour, "y", false, {40}),
      Of(kFour, "lockhost", true, {80})};
  const Summary summary = Summarise(Workload::kThreads, "lockhost", rows);
  EXPECT_DOUBLE_EQ(summary.worst_ratio_to_best_peer, 0.8);
  EXPECT_EQ(summary.worst_cell, NameOf(kTwo));
  EXPECT_EQ(summary.best_peer_of_worst_cell, "x");
  EXPECT_EQ(summary.cells, 2);
  EXPECT_EQ(summary.cells_below_095, 1);
  EXPECT_NEAR(summary.geomean_ratio_to_best_of_each_cell, 1.264911, 1e-6);  // of 0.8 and 2
  EXPECT_EQ(summary.best_single_peer, "y");                                 // 1.6 and 2
  EXPECT_NEAR(summary.geomean_ratio_to_best_peer, 1.788854, 1e-6);
  EXPECT_DOUBLE_EQ(summary.worst_fairness, 0.6);
  EXPECT_DOUBLE_EQ(RatioIn(kTwo, "lockhost", "y", rows), 1.6);
  EXPECT_EQ(RatioIn(kTwo, "lockhost", "nobody", rows), 0);
}

constexpr Cell kFull{Workload::kLab, 2, 400, 200, 1, 2, 'B'};
constexpr Cell kFuller{Workload::kLab, 8, 400, 200, 1, 0, 'B'};
constexpr Cell kAlone{Workload::kLab, 2, 400, 200, 1, 0, 'B'};

Row InLab(const Cell& cell, const char* subject, double ops, Waste waste) {
  Row row = Of(cell, subject, std::string(subject).starts_with("lockhost"), {ops});
  row.waste = waste;
  return row;
}

std::vector<Row> LabRows() {
  return {
      InLab(kFull, "mcs", 50, {1'000'000'000, 0, 0, 0}),
      InLab(kFull, "lockhost-nohints", 100, {1'000'000'000, 20'000'000, 100, 40}),
      InLab(kFull, "lockhost-direct", 100, {1'000'000'000, 1'000'000, 300, 40}),
      InLab(kFuller, "mcs", 50, {1'000'000'000, 0, 0, 0}),
      InLab(kFuller, "lockhost-nohints", 100, {1'000'000'000, 30'000'000, 100, 0}),
      InLab(kFuller, "lockhost-direct", 400, {1'000'000'000, 4'000'000, 100, 0}),
      // Where everybody has a CPU nothing can be saved.
      InLab(kAlone, "lockhost-nohints", 100, {1'000'000'000, 900'000'000, 1, 1}),
      InLab(kAlone, "lockhost-direct", 1, {1'000'000'000, 900'000'000, 1, 1}),
  };
}

TEST(CompareWasteTest, CountsWhereCpusAreShortAndAFalseParkByWhatItCosts) {
  const auto ratio = CompareWaste("lockhost-direct", "lockhost-nohints", 2, LabRows());
  ASSERT_TRUE(ratio.has_value());
  EXPECT_EQ(ratio->cells, 2);
  EXPECT_DOUBLE_EQ(ratio->with.wasted_spin_share(), 0.0025);
  EXPECT_DOUBLE_EQ(ratio->without.wasted_spin_share(), 0.025);
  EXPECT_DOUBLE_EQ(ratio->with.false_park_share(), 0.1);
  EXPECT_DOUBLE_EQ(ratio->with.share(), 0.003);  // 40 times 25 us of 2 s
  EXPECT_DOUBLE_EQ(ratio->throughput_ratio, 2);  // of 1 and 4
  EXPECT_FALSE(CompareWaste("lockhost-direct", "nobody", 2, LabRows()).has_value());
  EXPECT_FALSE(CompareWaste("lockhost-direct", "lockhost-nohints", 8, LabRows()).has_value());
}

TEST(SummariseTest, OnlyWhatLiesOutsideTheDeviationIsBelow) {
  std::vector<Row> rows = {Of(kTwo, "x", false, {90, 110}), Of(kTwo, "lockhost", true, {88, 96}),
                           Of(kFour, "x", false, {99, 101}), Of(kFour, "lockhost", true, {91, 93})};
  rows[0].acquire_ns.Add(1'000);
  rows[1].acquire_ns.Add(4'000);
  const Summary summary = Summarise(Workload::kThreads, "lockhost", rows);
  EXPECT_EQ(summary.cells_below_by_a_deviation, 1);
  EXPECT_NEAR(summary.worst_p999_to_best_peer, 4, 0.2);
  EXPECT_EQ(summary.worst_p999_cell, NameOf(kTwo));
}

TEST(OutputTest, TheLabHasItsOwnFieldsAndSaysWhatIsAbsent) {
  const Setting setting = {.cpus = 2, .absent = {{"lab: lockhost-boost", "no boosts here"}}};
  const auto json = nlohmann::json::parse(JsonOf(setting, LabRows()));
  EXPECT_EQ(json["absent"]["lab: lockhost-boost"], "no boosts here");
  const auto& row = json["rows"][1];
  EXPECT_EQ(row["workload"], "lab");
  EXPECT_EQ(row["vcpus"], 2);
  EXPECT_FALSE(row.contains("threads"));
  EXPECT_EQ(row["hogs"], 2);
  EXPECT_EQ(row["pinning"], "B");
  EXPECT_EQ(row["overcommit"], 2.0);
  EXPECT_EQ(row["wasted_spin_share"], 0.02);
  EXPECT_EQ(row["false_park_share"], 0.4);
  const auto& direct = json["summary"][1];
  EXPECT_EQ(direct["subject"], "lockhost-direct");
  EXPECT_EQ(direct["boosted"], false);
  EXPECT_DOUBLE_EQ(direct["wasted_spin_and_false_parks"]["ratio"], 0.003 / 0.0255);
  const std::string text = TextOf(setting, LabRows());
  EXPECT_NE(text.find("not measured: lab: lockhost-boost: no boosts here"), std::string::npos);
  EXPECT_NE(text.find("wasted spins 0.25% of CPU time instead of 2.50%"), std::string::npos);
}

TEST(PlotsTest, EachWorkloadHasAPictureWithAllItsLocks) {
  std::vector<Row> rows = LabRows();
  for (Row& row : rows) row.acquire_ns.Add(2'000);
  rows.push_back(Of({Workload::kUncontended}, "x_y", false, {1e9}));
  rows.back().ns_per_op = {1};
  const Setting setting = {.cpus = 2, .kernel = "6_1", .cpu_model = "Chip @ 2 GHz"};
  const std::vector<Plot> plots = PlotsOf(setting, rows);
  ASSERT_EQ(plots.size(), 2u);
  EXPECT_EQ(plots[0].name, "locks-uncontended");
  EXPECT_NE(plots[0].script.find("\"x_y\" 1 "), std::string::npos);
  EXPECT_EQ(plots[1].name, "locks-lab-400ns");
  EXPECT_NE(plots[1].script.find("set output 'locks-lab-400ns.png'"), std::string::npos);
  EXPECT_NE(plots[1].script.find("4 400\nEND"), std::string::npos) << "8 vCPUs on 2 CPUs";
  EXPECT_NE(plots[1].script.find("Chip \\\\@ 2 GHz"), std::string::npos) << "no mark of gnuplot";
  for (const char* subject : {"mcs", "lockhost-nohints", "lockhost-direct"}) {
    EXPECT_NE(plots[1].script.find(std::string("title '") + subject), std::string::npos);
  }
}

TEST(OutputTest, SaysTheSameInJsonAndInWords) {
  const Setting setting = {.cpus = 2, .runs = 1, .length_ms = 50, .missing = {"a package"}};
  const std::vector<Row> rows = {Of(kFour, "x", false, {10, 20}),
                                 Of(kFour, "lockhost", true, {30})};
  const auto json = nlohmann::json::parse(JsonOf(setting, rows));
  EXPECT_EQ(json["missing"], nlohmann::json::array({"a package"}));
  ASSERT_EQ(json["rows"].size(), 2u);
  const auto& row = json["rows"][0];
  EXPECT_EQ(row["workload"], "threads");
  EXPECT_EQ(row["subject"], "x");
  EXPECT_EQ(row["threads"], 4);
  EXPECT_EQ(row["overcommit"], 2.0);
  EXPECT_EQ(row["ops_per_s"]["mean"], 15.0);
  EXPECT_TRUE(row["acquire_ns"].is_null());  // nothing was timed
  ASSERT_EQ(json["summary"].size(), 1u);
  EXPECT_EQ(json["summary"][0]["subject"], "lockhost");
  EXPECT_EQ(json["summary"][0]["worst_ratio_to_best_peer"], 2.0);
  EXPECT_NE(TextOf(setting, rows).find("worst 2.00 of the best peer"), std::string::npos);
}

TEST(CellsTest, AreAllDifferentAndWithinBounds) {
  for (const bool quick : {true, false}) {
    std::set<std::string> names;
    std::vector<Cell> cells = AllCells(quick);
    for (const Cell& cell : LabCells(2, quick)) cells.push_back(cell);
    for (const Cell& cell : cells) {
      EXPECT_TRUE(names.insert(NameOf(cell)).second) << NameOf(cell);
      EXPECT_LE(cell.locks, 100);
    }
  }
}

// The three patterns of overcommit, and those of one VM together.
TEST(CellsTest, TheLabGoesFromOneToFourByVcpusAndByNeighbours) {
  const std::vector<Cell> cells = LabCells(2, /*quick=*/false);
  std::set<double> by_vcpus, by_hogs;
  std::set<int> vms;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].hogs == 0) by_vcpus.insert(Overcommit(cells[i], 2));
    if (cells[i].threads == 2) by_hogs.insert(Overcommit(cells[i], 2));
    if (i > 0 && cells[i].threads == cells[i - 1].threads) continue;
    EXPECT_TRUE(vms.insert(cells[i].threads).second) << "boots twice";
  }
  EXPECT_EQ(by_vcpus, (std::set<double>{1, 2, 4}));
  EXPECT_EQ(by_hogs, (std::set<double>{1, 2, 3, 4}));
}

TEST(LabTest, ComparesWithEverySubjectOfTheGuest) {
  const std::vector<lab::Subject> subjects = LabSubjects();
  EXPECT_EQ(subjects.size(), size_t{lab::kSubjects});
  EXPECT_FALSE(IsOurs(lab::Subject::kPvQspinlock));
  EXPECT_TRUE(IsOurs(lab::Subject::kLockhostDirect));
}

TEST(LockChoiceTest, TheFirstLockIsDrawnMostOften) {
  LockChoice choice(100, 1);
  std::vector<int> drawn(100);
  for (int i = 0; i < 1'024; ++i) ++drawn[static_cast<size_t>(choice.Next())];
  EXPECT_GT(drawn[0], 120);  // 1024 / (1 + 1/2 + ... + 1/100) = 197
  EXPECT_LT(drawn[0], 280);
  EXPECT_LT(drawn[99], 12);
}

RunPlan Plan() { return {.length_ns = 5'000'000, .loops_per_ns = 1, .ticks_per_ns = 1}; }

void Leave(const Cell&, const RunPlan&, Sample*) { _exit(3); }
void LetTwoIn(const Cell&, const RunPlan&, Sample* sample) { sample->exclusion_errors = 1; }

TEST(RunnerTest, AProcessThatDiesAndALockThatIsNoneAreErrors) {
  const auto died = RunOnce({.name = "x", .run = Leave}, kTwo, Plan());
  EXPECT_EQ(died.status().code(), absl::StatusCode::kInternal);
  const auto broken = RunOnce({.name = "x", .run = LetTwoIn}, kTwo, Plan());
  EXPECT_EQ(broken.status().code(), absl::StatusCode::kInternal);
}

// Throughput of the first run in which there is some: on a busy machine no thread may run
// within the time.
double SomeOps(const Subject& subject, const Cell& cell) {
  for (int tries = 0; tries < 100; ++tries) {
    const auto sample = RunOnce(subject, cell, Plan());
    EXPECT_TRUE(sample.ok()) << sample.status();
    if (!sample.ok() || (*sample)->ops_per_s > 0) return sample.ok() ? (*sample)->ops_per_s : 0;
  }
  return 0;
}

// A lock that lets everybody in is noticed by the workload itself.
TEST(RunnerTest, EveryLockExcludesAndGetsThroughEveryWorkload) {
  std::vector<std::string> missing;
  for (const Subject& subject : AllSubjects(&missing)) {
    if (subject.why_missing != nullptr && !subject.why_missing().empty()) continue;
    for (const Cell& cell : AllCells(/*quick=*/true)) {
      EXPECT_GT(SomeOps(subject, cell), 0) << subject.name << " " << NameOf(cell);
    }
  }
}

}  // namespace
}  // namespace lockhost::bench
