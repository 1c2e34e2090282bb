// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/service/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace lockhost::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

Figures Everything() {
  Figures figures;
  Delivery delivery = {.overcommit = 2};
  for (int i = 0; i < 98; ++i) delivery.delivery_ns.Add(50'000);
  for (int i = 0; i < 2; ++i) delivery.delivery_ns.Add(400'000);
  figures.delivery.push_back(delivery);
  lab::Perturbation cost;
  cost.idle_ratio.value = 1.005;
  cost.extra_switches_per_event.value = 1.5;
  cost.throughput_ratio.value = 0.97;
  cost.idle_cpu_percent = 0.1;
  cost.demand_cpu_percent = 3;
  figures.cost = cost;
  FanOut fan_out = {.guests = 256, .vcpus = 1024};
  fan_out.delivery_ns.Add(300'000);
  fan_out.server_rss_bytes = 40 << 20;
  fan_out.server_threads = 9;
  fan_out.server_threads_with_one_guest = 8;
  figures.fan_out = fan_out;
  return figures;
}

const Line& Find(const std::vector<Line>& lines, const std::string& what) {
  for (const Line& line : lines) {
    if (line.what.find(what) != std::string::npos) return line;
  }
  ADD_FAILURE() << "no line " << what;
  return lines.front();
}

TEST(ServiceReport, JudgesEachFigureByItsBar) {
  const std::vector<Line> lines = Lines(Everything());
  EXPECT_TRUE(Find(lines, "at 2x, p50").met());
  EXPECT_FALSE(Find(lines, "at 2x, p99").met());
  EXPECT_TRUE(Find(lines, "without demand").met());
  EXPECT_FALSE(Find(lines, "work under demand").met());  // a least, not a most
  EXPECT_FALSE(Find(lines, "three daemons, demand").met());
  EXPECT_TRUE(Find(lines, "memory").met());
  EXPECT_FALSE(Find(lines, "threads").met());  // one more than with one guest
}

TEST(ServiceReport, HasNoBarForOtherOvercommits) {
  Figures figures = Everything();
  figures.delivery[0].overcommit = 4;
  EXPECT_FALSE(Find(Lines(figures), "at 4x, p50").bar.has_value());
}

TEST(ServiceReport, FitsATerminal) {
  std::istringstream table(Table(Everything()));
  for (std::string line; std::getline(table, line);) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_THAT(Table(Everything()), HasSubstr("missed"));
}

TEST(ServiceReport, SaysWhatIsAbsentAndWhy) {
  Figures figures;
  figures.absent["fan-out"] = "no KVM";
  EXPECT_THAT(Table(figures), HasSubstr("not measured: fan-out: no KVM"));
  const auto json = ToJson(figures);
  EXPECT_TRUE(json["fanout_us"].is_null());
  EXPECT_TRUE(json["perturbation"].is_null());
  EXPECT_EQ(json["absent"]["fan-out"], "no KVM");
}

TEST(ServiceReport, SaysWhenThreadsStandInForVcpus) {
  Figures figures = Everything();
  EXPECT_THAT(Table(figures), Not(HasSubstr("stand in")));
  EXPECT_EQ(ToJson(figures)["kvm"], true);
  figures.why_not_kvm = "no /dev/kvm";
  EXPECT_THAT(Table(figures), HasSubstr("threads stand in for vCPUs: no /dev/kvm"));
  EXPECT_EQ(ToJson(figures)["kvm"], false);
}

TEST(ServiceReport, AnEmptyHistogramIsNoFigure) {
  Figures figures;
  figures.delivery.push_back({.overcommit = 2});
  EXPECT_TRUE(ToJson(figures)["delivery_us"][0]["p50"].is_null());
  EXPECT_THAT(Table(figures), Not(HasSubstr("met")));
}

TEST(ServiceReport, WritesTheAgreedNames) {
  const auto json = ToJson(Everything());
  EXPECT_EQ(json["delivery_us"][0]["overcommit"], 2);
  for (const char* name : {"p50", "p99", "p999"}) {
    EXPECT_TRUE(json["delivery_us"][0][name].is_number()) << name;
  }
  for (const char* name : {"idle_ratio", "extra_switches_per_event", "throughput_ratio"}) {
    EXPECT_TRUE(json["perturbation"][name].is_number()) << name;
  }
  EXPECT_EQ(json["cpu_percent"]["demand"], 3);
  EXPECT_TRUE(json["fanout_us"]["p99"].is_number());
  EXPECT_EQ(json["rss_bytes"], 40 << 20);
  EXPECT_EQ(json["threads"], 9);
}

}  // namespace
}  // namespace lockhost::bench
