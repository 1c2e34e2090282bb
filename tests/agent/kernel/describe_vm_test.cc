// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/describe_vm.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/agent/support/fake_tree.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kGiB = 1024 * 1024 * 1024;

// Process 77, which tells nothing but its name.
class DescribeVmTest : public testing::Test {
 protected:
  void SetUp() override { tree_.PutProcess(77, "qemu-system-x86"); }
  void PutArguments(const std::string& arguments) {
    std::string text = arguments;
    for (char& c : text) c = c == ' ' ? '\0' : c;
    tree_.Put("proc/77/cmdline", text + '\0');
  }
  void PutCgroup() {
    tree_.Put("proc/77/task/77/cgroup",
              "0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator\n");
  }
  VmDescription Describe() { return DescribeVm(*Procfs::Open(tree_.proc()), 77); }

  FakeTree tree_;
};

TEST_F(DescribeVmTest, EachFactHasItsOrigin) {
  PutArguments("qemu-system-x86_64 -accel kvm -name guest=db -uuid 1-2 -m 2G");
  const VmDescription vm = Describe();
  EXPECT_EQ(vm.facts, (VmmFacts{.vmm = "qemu",
                                .name = "db",
                                .uuid = "1-2",
                                .accelerator = Accelerator::kKvm,
                                .memory_bytes = 2 * kGiB}));
  EXPECT_EQ(vm.vmm, FactOrigin::kThreadName);
  EXPECT_EQ(vm.name, FactOrigin::kCommandLine);
  EXPECT_EQ(vm.uuid, FactOrigin::kCommandLine);
  EXPECT_EQ(vm.memory, FactOrigin::kCommandLine);
  EXPECT_EQ(vm.accelerator, FactOrigin::kCommandLine);
  EXPECT_EQ(vm.vsock_cid, FactOrigin::kNone);
}

TEST_F(DescribeVmTest, LibvirtsCgroupNamesAVmThatTheCommandLineDoesNot) {
  PutCgroup();
  VmDescription vm = Describe();
  EXPECT_EQ(vm.facts.name, "web");
  EXPECT_EQ(vm.name, FactOrigin::kCgroup);
  PutArguments("qemu-system-x86_64 -name guest=the-whole-name");
  vm = Describe();
  EXPECT_EQ(vm.facts.name, "the-whole-name");
  EXPECT_EQ(vm.name, FactOrigin::kCommandLine);
}

TEST_F(DescribeVmTest, DescriptorsGoBeforeClaimsOfTheAccelerator) {
  PutArguments("qemu-system-x86_64 -accel tcg");
  EXPECT_EQ(Describe().facts.accelerator, Accelerator::kTcg);
  tree_.PutThread(77, 78, "CPU 0/KVM");
  VmDescription vm = Describe();
  EXPECT_EQ(vm.facts.accelerator, Accelerator::kKvm);
  EXPECT_EQ(vm.accelerator, FactOrigin::kThreadName);
  tree_.PutThread(77, 78, "CPU 0/TCG");
  tree_.PutVcpuFd(77, 9, 0);
  vm = Describe();
  EXPECT_EQ(vm.facts.accelerator, Accelerator::kKvm);
  EXPECT_EQ(vm.accelerator, FactOrigin::kDescriptor);
}

TEST_F(DescribeVmTest, AProcessThatHasGoneIsUnknown) {
  tree_.Remove("proc/77");
  const VmDescription vm = Describe();
  EXPECT_EQ(vm.facts, VmmFacts{});
  EXPECT_EQ(vm.vmm, FactOrigin::kNone);
}

}  // namespace
}  // namespace lockhost::agent
