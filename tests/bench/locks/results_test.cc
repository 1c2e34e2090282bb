// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/results.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/bench/locks/output.h"
#include "tests/bench/locks/runner.h"
#include "tests/bench/locks/subject.h"
#include "tests/bench/locks/team.h"

namespace lockhost::bench {
namespace {

constexpr Cell kTwo{Workload::kThreads, 2, 100, 0, 1};
constexpr Cell kFour{Workload::kThreads, 4, 100, 0, 1};

Row Of(const Cell& cell, const char* subject, bool ours, std::vector<double> ops) {
  Row row{.cell = cell, .subject = subject, .ours = ours, .ops_per_s = ops};
  row.fairness = {0.5, 0.7};
  return row;
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
    for (const Cell& cell : AllCells(quick)) {
      EXPECT_TRUE(names.insert(NameOf(cell)).second) << NameOf(cell);
      EXPECT_LE(cell.locks, 100);
    }
  }
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
    for (const Cell& cell : AllCells(/*quick=*/true)) {
      EXPECT_GT(SomeOps(subject, cell), 0) << subject.name << " " << NameOf(cell);
    }
  }
}

}  // namespace
}  // namespace lockhost::bench
