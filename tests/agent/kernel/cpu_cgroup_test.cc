// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/cpu_cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/agent/support/temp_dir.h"

namespace lockhost::agent {
namespace {

namespace fs = std::filesystem;

TEST(CpuCgroupTest, TheOldControllerWinsWhereItIsMounted) {
  EXPECT_EQ(ParseCpuCgroup("4:memory:/x\n3:cpu,cpuacct:/machine/vcpu0\n0::/other\n"),
            (CpuCgroup{false, "/machine/vcpu0"}));
  EXPECT_EQ(ParseCpuCgroup("0::/a/b\n"), (CpuCgroup{true, "/a/b"}));
  EXPECT_EQ(ParseCpuCgroup("0::/a\n1:cpu:/b:c\n"), (CpuCgroup{false, "/b:c"}));
  for (const char* bad : {"", "garbage", "0:name=systemd:/a", "2:cpuset:/a", "0::relative"}) {
    EXPECT_EQ(ParseCpuCgroup(bad), std::nullopt) << bad;
  }
}

TEST(CpuCgroupTest, OthersAreThoseWhoAreNoThreadsOfTheProcess) {
  EXPECT_FALSE(NamesAnother("10\n11\n", {10, 11, 12}));
  EXPECT_TRUE(NamesAnother("10\n99\n", {10, 11}));
  EXPECT_FALSE(NamesAnother("", {10}));
}

// A VMM, pid 10, whose vCPU thread 11 is in a cgroup of the test's.
class CpuCgroupTreeTest : public testing::Test {
 protected:
  CpuCgroupTreeTest() {
    for (const char* tid : {"10", "11"}) Write("proc/10/task/" + std::string(tid) + "/comm", "x");
  }
  void Write(const std::string& path, const std::string& text) {
    const fs::path file = fs::path(tree_.path()) / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void PutInto(const std::string& cgroup) { Write("proc/10/task/11/cgroup", cgroup); }
  std::optional<bool> Alone() {
    return HasCpuCgroupToItself(*Procfs::Open(tree_.path() + "/proc"), tree_.path() + "/sys", 10,
                                11);
  }

  TempDir tree_;
};

TEST_F(CpuCgroupTreeTest, AVcpuWithItsOwnGroupIsAlone) {
  PutInto("0::/vm/vcpu0\n");
  Write("sys/fs/cgroup/vm/vcpu0/cpu.weight", "100\n");
  Write("sys/fs/cgroup/vm/vcpu0/cgroup.threads", "11\n");
  EXPECT_EQ(Alone(), true);
}

TEST_F(CpuCgroupTreeTest, AVmThatSharesItsGroupIsNot) {
  PutInto("0::/vms\n");
  Write("sys/fs/cgroup/vms/cpu.weight", "100\n");
  Write("sys/fs/cgroup/vms/cgroup.threads", "10\n11\n77\n");
  EXPECT_EQ(Alone(), false);
}

TEST_F(CpuCgroupTreeTest, AGroupWithoutTheControllerIsPartOfTheOneAbove) {
  PutInto("0::/scope/vm\n");
  Write("sys/fs/cgroup/scope/vm/cgroup.threads", "11\n");
  EXPECT_EQ(Alone(), false) << "up to the root";
  Write("sys/fs/cgroup/scope/cpu.weight", "100\n");
  Write("sys/fs/cgroup/scope/cgroup.threads", "10\n11\n");
  EXPECT_EQ(Alone(), true);
}

TEST_F(CpuCgroupTreeTest, TheOldHierarchyHasAListOfTasks) {
  PutInto("5:cpu,cpuacct:/machine/vcpu0\n");
  Write("sys/fs/cgroup/cpu/machine/vcpu0/tasks", "11\n");
  EXPECT_EQ(Alone(), true);
  PutInto("5:cpu,cpuacct:/\n");
  EXPECT_EQ(Alone(), false);
}

TEST_F(CpuCgroupTreeTest, WhatCannotBeSeenIsNotKnown) {
  EXPECT_EQ(Alone(), std::nullopt);
  PutInto("5:cpu:/nowhere\n");
  EXPECT_EQ(Alone(), std::nullopt);
}

}  // namespace
}  // namespace lockhost::agent
