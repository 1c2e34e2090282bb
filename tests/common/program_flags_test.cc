// SPDX-License-Identifier: Apache-2.0
#include "common/program_flags.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/flags/flag.h"

ABSL_FLAG(std::string, hint_page, "", "for this test");

namespace lockhost {
namespace {

TEST(ProgramFlagsTest, DashesInNamesAreUnderscoresAndValuesStay) {
  std::string name = "test";
  std::string flag = "--hint-page=/run/a-b/c-d";
  std::string plain = "x-y";
  std::string end = "--";
  std::string after = "--not-a-flag";
  char* argv[] = {name.data(), flag.data(), plain.data(), end.data(), after.data(), nullptr};
  const std::vector<char*> rest = ParseProgramFlags(5, argv, "usage");
  EXPECT_EQ(absl::GetFlag(FLAGS_hint_page), "/run/a-b/c-d");
  ASSERT_EQ(rest.size(), 3u);
  EXPECT_STREQ(rest[1], "x-y");
  EXPECT_STREQ(rest[2], "--not-a-flag");
}

}  // namespace
}  // namespace lockhost
