// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/proc_parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lockhost::agent {
namespace {

using testing::ElementsAre;

// Fields 4 to 24 of a stat line; the start time is field 22.
constexpr char kRest[] = " 1 4242 4242 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 123456 1000 77\n";

TEST(ParseRunnableThreadsTest, TakesTheFigureBeforeTheSlash) {
  EXPECT_EQ(ParseRunnableThreads("0.20 0.18 0.12 3/80 11206\n"), 3u);
  for (const char* bad : {"", "0.20 0.18 0.12", "0.20 0.18 0.12 3 11206", "1 2 3 /80 4",
                          "1 2 3 -1/80 4", "1 2 3 99999999999/80 4"}) {
    EXPECT_EQ(ParseRunnableThreads(bad), std::nullopt) << bad;
  }
}

TEST(ParseStatTest, TakesIdNameStateAndStartTime) {
  const auto stat = ParseStat(std::string("4242 (qemu-system-x86) R") + kRest);
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->id, 4242);
  EXPECT_EQ(stat->name, "qemu-system-x86");
  EXPECT_EQ(stat->state, 'R');
  EXPECT_EQ(stat->start_ticks, 123456u);
}

TEST(ParseStatTest, NameMayHoldSpacesAndParentheses) {
  for (const std::string name :
       {"CPU 0/KVM", "a) R 1 (b", ") (", "", "(((", "x\ny", "a) S 1 2 3"}) {
    const auto stat = ParseStat("7 (" + name + ") S" + kRest);
    ASSERT_TRUE(stat.has_value()) << name;
    EXPECT_EQ(stat->name, name);
    EXPECT_EQ(stat->state, 'S');
    EXPECT_EQ(stat->start_ticks, 123456u);
  }
}

TEST(ParseStatTest, RefusesWhatIsNoStatLine) {
  for (const std::string& text :
       {std::string(), std::string("42"), std::string("42 (x)"), std::string("42 (x) "),
        std::string("42 (x) R 1 2 3"), std::string("x (x) R") + kRest,
        std::string("-1 (x) R") + kRest, std::string("4294967296 (x) R") + kRest,
        std::string("42 x R") + kRest, std::string("42 (x) RR") + kRest,
        std::string("42) (x R") + kRest}) {
    EXPECT_FALSE(ParseStat(text).has_value()) << text;
  }
}

TEST(ParseSchedstatTest, TakesThreeNumbers) {
  const auto schedstat = ParseSchedstat("1000 18446744073709551615 3\n");
  ASSERT_TRUE(schedstat.has_value());
  EXPECT_EQ(schedstat->run_ns, 1000u);
  EXPECT_EQ(schedstat->delay_ns, UINT64_MAX);
  EXPECT_EQ(schedstat->runs, 3u);
}

TEST(ParseSchedstatTest, RefusesWhatIsNotThreeNumbers) {
  for (const char* text :
       {"", "1", "1 2", "1 2 3 4", "1 -2 3", "1 2 x", "1 2 18446744073709551616", "0x1 2 3"}) {
    EXPECT_FALSE(ParseSchedstat(text).has_value()) << text;
  }
}

TEST(ParseCmdlineTest, SplitsAtNul) {
  using namespace std::string_view_literals;
  EXPECT_THAT(ParseCmdline("a\0-b\0\0c d\0"sv), ElementsAre("a", "-b", "", "c d"));
  EXPECT_THAT(ParseCmdline("not ended"sv), ElementsAre("not ended"));
  EXPECT_THAT(ParseCmdline(""sv), ElementsAre());
}

TEST(ParseNumberTest, TakesDigitsAndNothingElse) {
  EXPECT_EQ(ParseNumber("0"), 0u);
  EXPECT_EQ(ParseNumber("007"), 7u);
  for (const char* text : {"", " 1", "1 ", "+1", "-1", "1x", "18446744073709551616"}) {
    EXPECT_FALSE(ParseNumber(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace lockhost::agent
