// SPDX-License-Identifier: Apache-2.0

// What discovery makes of captured trees: each folder of tests/agent/fixtures holds a
// proc, a sys if need be, and in golden.txt what is to be seen in them.
#include "agent/discovery/dump.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

namespace lockhost::agent {
namespace {

std::string Fixture(const std::string& kind) {
  return std::string(LOCKHOST_AGENT_FIXTURES) + "/" + kind;
}

std::string Golden(const std::string& kind) {
  std::ostringstream text;
  text << std::ifstream(Fixture(kind) + "/golden.txt").rdbuf();
  return text.str();
}

class DumpTest : public testing::TestWithParam<const char*> {};

TEST_P(DumpTest, IsAsInTheGoldenFile) {
  const std::string tree = Fixture(GetParam());
  const auto text = DumpVms(tree + "/proc", tree + "/sys");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, Golden(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, DumpTest,
                         testing::Values("qemu_debug_threads", "qemu_plain", "qemu_tcg", "libvirt",
                                         "firecracker", "cloud_hypervisor", "crosvm", "two_vms",
                                         "hostile", "hidepid"),
                         [](const auto& info) { return std::string(info.param); });

TEST(DumpProgramTest, PrintsTheSame) {
  const std::string tree = Fixture("libvirt");
  const std::string command = std::string(LOCKHOST_AGENT_PROGRAM) +
                              " --dump --procfs-root=" + tree + "/proc --sysfs-root=" + tree +
                              "/sys";
  FILE* pipe = popen(command.c_str(), "re");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) text += static_cast<char>(c);
  EXPECT_EQ(pclose(pipe), 0);
  EXPECT_EQ(text, Golden("libvirt"));
}

TEST(DumpProgramTest, FailsWithoutATree) {
  EXPECT_FALSE(DumpVms(Fixture("nowhere"), Fixture("nowhere")).ok());
}

}  // namespace
}  // namespace lockhost::agent
