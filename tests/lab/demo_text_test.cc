// SPDX-License-Identifier: Apache-2.0
//
// What the demo says, from made-up results: it fits the terminal, its JSON parses and is
// complete, and what is absent says why.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_split.h"
#include "tests/lab/demo/demo_json.h"
#include "tests/lab/demo/json_writer.h"
#include "tests/lab/demo/text.h"

namespace lockhost::lab {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;
using testing::HasSubstr;

RunResult MadeUpRun(Subject subject) {
  RunResult run = {};
  run.seconds = 1;
  run.acquisitions = {400'000, 300'000};
  run.usage = {.cpu_ns = 2'000'000'000, .switches = 1000};
  run.lock_holder_preemptions = 123'456;
  run.parks = 10;
  run.false_parks = 1;
  run.wasted_spin_ns = 1'000'000;
  for (uint64_t ns = 1; ns < 3'000'000'000; ns *= 3) run.acquire_ns.Add(ns);
  if (subject == Subject::kLockhostGrpc || subject == Subject::kLockhostDirect) {
    run.judged_ns = 1000;
    run.agreed_ns = subject == Subject::kLockhostGrpc ? 900 : 999;
    run.delivery_ns.Add(50'000);
  }
  return run;
}

std::unique_ptr<Results> MadeUp(bool oracle) {
  auto results = std::make_unique<Results>();
  results->setting = {.kvm = oracle,
                      .why_not_kvm = oracle ? "" : "/dev/kvm: Permission denied",
                      .source = oracle ? "bpf" : "procfs",
                      .source_reason = oracle ? "" : "BPF needs CAP_BPF",
                      .why_not_boosted = oracle ? "" : "no boosts here: not with procfs",
                      .oracle = oracle,
                      .machine = "A \"quoted\" CPU with quite a long name @ 2.50GHz",
                      .kernel = "6.1.0",
                      .cpus = 2,
                      .date = "2025-01-01T00:00:00Z",
                      .root = oracle};
  results->run_seconds = 1;
  for (const uint32_t ratio : {1u, 2u, 4u}) {
    for (const Section section : {Section{400, 200}, Section{20'000, 10'000}}) {
      for (uint32_t i = 0; i < kDemoSubjects; ++i) {
        if (!oracle && static_cast<Subject>(i) == Subject::kLockhostBoost) continue;
        auto cell =
            std::make_unique<Cell>(Cell{static_cast<Subject>(i), ratio, ratio * 2, section, {}});
        for (int run = 0; run < 5; ++run) cell->summary.Add(MadeUpRun(cell->subject));
        results->cells.push_back(std::move(cell));
      }
    }
  }
  results->perturbation.idle_ratio = {.value = 1.01, .absent_because = ""};
  results->perturbation.extra_switches_per_event = {
      .value = std::nullopt, .absent_because = "no hint event was delivered"};
  return results;
}

void ExpectFitsTerminal(const std::string& text) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    EXPECT_LE(line.size(), kTerminalColumns) << line;
  }
}

Struct Parse(const std::string& json) {
  Struct parsed;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &parsed);
  EXPECT_TRUE(status.ok()) << json;
  return parsed;
}

TEST(Text, FitsEightyColumns) {
  for (const bool oracle : {true, false}) {
    const auto results = MadeUp(oracle);
    ExpectFitsTerminal(Introduction(results->setting));
    ExpectFitsTerminal(Table(*results));
    ExpectFitsTerminal(HintFacts(*results));
    ExpectFitsTerminal(Verdict(*results));
  }
}

TEST(Text, TheFirstLineSaysWhatStandsInForVcpus) {
  const std::string text = Introduction(MadeUp(false)->setting);
  EXPECT_THAT(text.substr(0, text.find('\n')), HasSubstr("Threads stand in for vCPUs: /dev/kvm"));
  EXPECT_THAT(text, HasSubstr("procfs"));
}

TEST(Text, WithoutABoostTheVerdictLeavesTheTailToTheScheduler) {
  const std::string verdict = Verdict(*MadeUp(false));
  EXPECT_THAT(verdict, HasSubstr("scheduler"));
  EXPECT_EQ(Verdict(Results()), "Too little was run to say anything.\n");
}

TEST(Text, TheVerdictSaysWhatTheBoostDidToTheTail) {
  const auto boosted = MadeUp(true);
  EXPECT_THAT(Verdict(*boosted), HasSubstr("with a boost of the"));
  EXPECT_THAT(Introduction(MadeUp(false)->setting), HasSubstr("not with procfs"));
}

TEST(Text, ShortTimesHaveFiveCharacters) {
  EXPECT_EQ(ShortTime(0), "0n");
  EXPECT_EQ(ShortTime(484), "484n");
  EXPECT_EQ(ShortTime(999.6), "1.0u");
  EXPECT_EQ(ShortTime(7'104), "7.1u");
  EXPECT_EQ(ShortTime(13'238'272), "13m");
  EXPECT_EQ(ShortTime(1.2e9), "1.2s");
  EXPECT_EQ(ShortShare(0), "0");
  EXPECT_EQ(ShortShare(0.004), "0.4%");
  EXPECT_EQ(ShortShare(1), "100%");
}

TEST(DemoJson, HasARowForEachCell) {
  const Struct json = Parse(ToJson(*MadeUp(true)));
  const auto& rows = json.fields().at("subjects").list_value();
  ASSERT_EQ(rows.values_size(), 42);
  const auto& row = rows.values(0).struct_value().fields();
  EXPECT_EQ(row.at("subject").string_value(), "test-and-set");
  EXPECT_EQ(row.at("runs").number_value(), 5);
  EXPECT_NEAR(row.at("throughput_per_s").struct_value().fields().at("mean").number_value(), 7e5, 1);
  EXPECT_EQ(json.fields().at("machine").string_value(), MadeUp(true)->setting.machine);
  EXPECT_DOUBLE_EQ(
      json.fields().at("hint_agreement").struct_value().fields().at("grpc").number_value(), 0.9);
}

TEST(DemoJson, WhatIsAbsentIsNullAndSaysWhy) {
  const Struct json = Parse(ToJson(*MadeUp(false)));
  const auto& agreement = json.fields().at("hint_agreement").struct_value().fields();
  EXPECT_EQ(agreement.at("direct").kind_case(), Value::kNullValue);
  const auto& row = json.fields().at("subjects").list_value().values(0).struct_value().fields();
  EXPECT_EQ(row.at("lhp").kind_case(), Value::kNullValue);
  const auto& reasons = json.fields().at("absent").struct_value().fields();
  EXPECT_THAT(reasons.at("hint_agreement.direct").string_value(), HasSubstr("no oracle"));
  EXPECT_THAT(reasons.at("perturbation.extra_switches_per_event").string_value(),
              HasSubstr("no hint event"));
}

TEST(DemoJson, AFileThatCannotBeWrittenIsAnError) {
  EXPECT_FALSE(WriteFile("/nonexistent/demo.json", "{}").ok());
  const std::string path = testing::TempDir() + "/demo.json";
  EXPECT_TRUE(WriteFile(path, "{}").ok());
  EXPECT_TRUE(std::filesystem::exists(path));
  std::filesystem::remove(path);
}

TEST(JsonWriter, EscapesAndNests) {
  JsonWriter json;
  json.BeginObject();
  json.Key("a").BeginArray().Integer(uint64_t{1}).String("x\"\\\n").EndArray();
  json.Key("b").Number(std::optional<double>());
  json.Key("c").BeginObject().EndObject();
  json.EndObject();
  EXPECT_EQ(
      json.text(),
      "{\n  \"a\": [\n    1,\n    \"x\\\"\\\\\\u000a\"\n  ],\n  \"b\": null,\n  \"c\": {}\n}\n");
}

}  // namespace
}  // namespace lockhost::lab
