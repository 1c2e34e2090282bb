// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/vcpu_threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/agent/support/fake_tree.h"

namespace lockhost::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(KvmDirectoryTest, IsPidAndDescriptor) {
  EXPECT_EQ(ParseKvmDirectory("4242-12"), (KvmDirectory{4242, 12}));
  for (const char* name : {"", "-", "1-", "-1", "x-1", "1-x", "0-1", "1-2-3", "4294967296-1",
                           "1-4294967296", "halt_exits"}) {
    EXPECT_FALSE(ParseKvmDirectory(name).has_value()) << name;
  }
}

// Process 77 with threads 77 to 79, whose names tell nothing, and vCPUs 0 and 1.
class VcpuThreadsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const int tid : {77, 78, 79}) tree_.PutThread(77, tid, "qemu-system-x86");
    tree_.PutVcpuFd(77, 9, 0);
    tree_.PutVcpuFd(77, 10, 1);
    tree_.PutInitialPidNamespace();
    tree_.Put("sys/kernel/debug/kvm/halt_exits", "0\n");
  }
  VcpuThreads Find() {
    const auto procfs = Procfs::Open(tree_.proc());
    const auto debugfs = KvmDebugfs::Open(tree_.sys());
    return FindVcpuThreads(*procfs, debugfs.ok() ? &*debugfs : nullptr, 77);
  }

  FakeTree tree_;
};

TEST_F(VcpuThreadsTest, NamesComeFirst) {
  tree_.PutThread(77, 79, "CPU 0/KVM");
  tree_.PutDebugfs("77-8", "0", "78");
  const VcpuThreads found = Find();
  EXPECT_EQ(found.evidence, VcpuEvidence::kThreadName);
  EXPECT_THAT(found.tids, ElementsAre(Pair(0, 79)));
}

TEST_F(VcpuThreadsTest, DebugfsTellsWhereNamesDoNot) {
  tree_.PutDebugfs("77-8", "0", "78");
  tree_.PutDebugfs("77-8", "1", "79");
  tree_.PutDebugfs("55-8", "0", "56");
  const VcpuThreads found = Find();
  EXPECT_EQ(found.evidence, VcpuEvidence::kDebugfs);
  EXPECT_THAT(found.tids, ElementsAre(Pair(0, 78), Pair(1, 79)));
}

TEST_F(VcpuThreadsTest, LibvirtCgroupsTellWithoutDebugfs) {
  tree_.Remove("sys");
  constexpr char kScope[] = "0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/";
  tree_.Put("proc/77/task/77/cgroup", std::string(kScope) + "emulator\n");
  tree_.Put("proc/77/task/79/cgroup", std::string(kScope) + "vcpu1\n");
  const VcpuThreads found = Find();
  EXPECT_EQ(found.evidence, VcpuEvidence::kCgroup);
  EXPECT_THAT(found.tids, ElementsAre(Pair(1, 79)));
}

TEST_F(VcpuThreadsTest, NothingIsToldOfAProcessWithoutVcpus) {
  tree_.Remove("proc/77/fd");
  tree_.PutDebugfs("77-8", "0", "78");
  EXPECT_THAT(Find().tids, IsEmpty());
  EXPECT_FALSE(Find().holds_vcpus);
}

TEST_F(VcpuThreadsTest, AForeignThreadIsNeverTold) {
  tree_.PutDebugfs("77-8", "0", "1");
  tree_.PutDebugfs("77-8", "1", "79");
  EXPECT_THAT(Find().tids, ElementsAre(Pair(1, 79)));
}

TEST_F(VcpuThreadsTest, PidsOfAnotherNamespaceAreNotMixed) {
  tree_.PutDebugfs("77-8", "0", "78");
  tree_.Link("proc/1/ns/pid", "pid:[4026532000]");
  const VcpuThreads found = Find();
  EXPECT_THAT(found.tids, IsEmpty());
  EXPECT_TRUE(found.holds_vcpus);
}

TEST_F(VcpuThreadsTest, SeveralVmsInOneProcessAreSaid) {
  tree_.PutDebugfs("77-8", "0", "78");
  tree_.PutDebugfs("77-9", "0", "79");
  EXPECT_THAT(Find().tids, IsEmpty());
  EXPECT_TRUE(Find().several_vms);
}

TEST_F(VcpuThreadsTest, DebugfsCountsTheVmsOfEachProcess) {
  tree_.PutDebugfs("77-8", "0", "78");
  tree_.PutDebugfs("77-9", "0", "79");
  tree_.PutDebugfs("55-8", "0", "56");
  EXPECT_THAT(KvmDebugfs::Open(tree_.sys())->VmCounts(), ElementsAre(Pair(55, 1), Pair(77, 2)));
}

TEST_F(VcpuThreadsTest, GarbageInDebugfsTellsNothing) {
  tree_.PutDebugfs("77-8", "0", "-1");
  tree_.PutDebugfs("77-8", "99999", "78");
  tree_.PutDebugfs("77-8", "x", "78");
  tree_.PutDebugfs("77-x", "0", "78");
  EXPECT_THAT(Find().tids, IsEmpty());
  tree_.PutDebugfs("77-8", "0", "78");
  tree_.PutDebugfs("77-8", "1", "78");
  EXPECT_THAT(Find().tids, IsEmpty()) << "one thread ran both";
}

}  // namespace
}  // namespace lockhost::agent
