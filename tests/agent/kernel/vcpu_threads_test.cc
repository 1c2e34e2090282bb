// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/vcpu_threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/agent/support/temp_dir.h"

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
    for (const char* tid : {"77", "78", "79"}) {
      Put("proc/77/task/" + std::string(tid) + "/comm", "qemu-system-x86\n");
    }
    Link("proc/77/fd/9", "anon_inode:kvm-vcpu:0");
    Link("proc/77/fd/10", "anon_inode:kvm-vcpu:1");
    Link("proc/1/ns/pid", "pid:[4026531836]");
    std::filesystem::create_directories(directory_.path() + "/sys/kernel/debug/kvm");
  }
  void Put(const std::string& name, const std::string& text) {
    const auto file = Parent(name);
    std::ofstream(file, std::ios::binary) << text;
  }
  void Link(const std::string& name, const std::string& target) {
    const auto file = Parent(name);
    std::filesystem::remove(file);
    std::filesystem::create_symlink(target, file);
  }
  void PutDebugfs(const std::string& vm, const std::string& vcpu, const std::string& tid) {
    Put("sys/kernel/debug/kvm/" + vm + "/vcpu" + vcpu + "/pid", tid + "\n");
  }
  VcpuThreads Find() {
    const auto procfs = Procfs::Open(directory_.path() + "/proc");
    const auto debugfs = KvmDebugfs::Open(directory_.path() + "/sys");
    return FindVcpuThreads(*procfs, debugfs.ok() ? &*debugfs : nullptr, 77);
  }

  TempDir directory_;

 private:
  std::filesystem::path Parent(const std::string& name) {
    const std::filesystem::path file = directory_.path() + "/" + name;
    std::filesystem::create_directories(file.parent_path());
    return file;
  }
};

TEST_F(VcpuThreadsTest, NamesComeFirst) {
  Put("proc/77/task/79/comm", "CPU 0/KVM\n");
  PutDebugfs("77-8", "0", "78");
  const VcpuThreads found = Find();
  EXPECT_EQ(found.evidence, VcpuEvidence::kThreadName);
  EXPECT_THAT(found.tids, ElementsAre(Pair(0, 79)));
}

TEST_F(VcpuThreadsTest, DebugfsTellsWhereNamesDoNot) {
  PutDebugfs("77-8", "0", "78");
  PutDebugfs("77-8", "1", "79");
  PutDebugfs("55-8", "0", "56");
  const VcpuThreads found = Find();
  EXPECT_EQ(found.evidence, VcpuEvidence::kDebugfs);
  EXPECT_THAT(found.tids, ElementsAre(Pair(0, 78), Pair(1, 79)));
}

TEST_F(VcpuThreadsTest, LibvirtCgroupsTellWithoutDebugfs) {
  std::filesystem::remove_all(directory_.path() + "/sys");
  constexpr char kScope[] = "0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/";
  Put("proc/77/task/77/cgroup", std::string(kScope) + "emulator\n");
  Put("proc/77/task/79/cgroup", std::string(kScope) + "vcpu1\n");
  const VcpuThreads found = Find();
  EXPECT_EQ(found.evidence, VcpuEvidence::kCgroup);
  EXPECT_THAT(found.tids, ElementsAre(Pair(1, 79)));
}

TEST_F(VcpuThreadsTest, NothingIsToldOfAProcessWithoutVcpus) {
  std::filesystem::remove_all(directory_.path() + "/proc/77/fd");
  PutDebugfs("77-8", "0", "78");
  EXPECT_THAT(Find().tids, IsEmpty());
  EXPECT_FALSE(Find().holds_vcpus);
}

TEST_F(VcpuThreadsTest, AForeignThreadIsNeverTold) {
  PutDebugfs("77-8", "0", "1");
  PutDebugfs("77-8", "1", "79");
  EXPECT_THAT(Find().tids, ElementsAre(Pair(1, 79)));
}

TEST_F(VcpuThreadsTest, PidsOfAnotherNamespaceAreNotMixed) {
  PutDebugfs("77-8", "0", "78");
  Link("proc/1/ns/pid", "pid:[4026532000]");
  const VcpuThreads found = Find();
  EXPECT_THAT(found.tids, IsEmpty());
  EXPECT_TRUE(found.holds_vcpus);
}

TEST_F(VcpuThreadsTest, SeveralVmsInOneProcessAreSaid) {
  PutDebugfs("77-8", "0", "78");
  PutDebugfs("77-9", "0", "79");
  EXPECT_THAT(Find().tids, IsEmpty());
  EXPECT_TRUE(Find().several_vms);
}

TEST_F(VcpuThreadsTest, GarbageInDebugfsTellsNothing) {
  PutDebugfs("77-8", "0", "-1");
  PutDebugfs("77-8", "99999", "78");
  PutDebugfs("77-8", "x", "78");
  PutDebugfs("77-x", "0", "78");
  EXPECT_THAT(Find().tids, IsEmpty());
  PutDebugfs("77-8", "0", "78");
  PutDebugfs("77-8", "1", "78");
  EXPECT_THAT(Find().tids, IsEmpty()) << "one thread ran both";
}

}  // namespace
}  // namespace lockhost::agent
