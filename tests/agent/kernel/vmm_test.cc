// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/vmm.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace lockhost::agent {
namespace {

VmmFacts Describe(std::string_view comm, std::vector<std::string_view> arguments) {
  return DescribeVmm(comm, arguments);
}

TEST(VcpuThreadNameTest, KnowsTheNamesOfKnownVmms) {
  EXPECT_EQ(ParseVcpuThreadName("CPU 0/KVM"), 0u);
  EXPECT_EQ(ParseVcpuThreadName("CPU 17/TCG"), 17u);
  EXPECT_EQ(ParseVcpuThreadName("fc_vcpu 3"), 3u);
  EXPECT_EQ(ParseVcpuThreadName("vcpu12"), 12u);
  EXPECT_EQ(ParseVcpuThreadName("crosvm_vcpu2"), 2u);
  EXPECT_EQ(ParseVcpuThreadName("kvm-vcpu-4"), 4u);
  EXPECT_EQ(ParseVcpuThreadName("lab-vcpu 1"), 1u);
  EXPECT_EQ(ParseVcpuThreadName("CPU 1023/KVM"), 1023u);
}

TEST(VcpuThreadNameTest, RefusesOthers) {
  for (const char* name :
       {"", "CPU /KVM", "CPU 0/XEN", "CPU 0", "CPU -1/KVM", "CPU x/KVM", "vcpu", "vcpu1 ", "xvcpu1",
        "fc_vcpu", "CPU 1024/KVM", "vcpu99999999999999999999", "CPU 0/KVM/KVM", "lab-vcpu1"}) {
    EXPECT_FALSE(ParseVcpuThreadName(name).has_value()) << name;
  }
}

TEST(VcpuFdLinkTest, KnowsVcpuDescriptors) {
  EXPECT_EQ(ParseVcpuFdLink("anon_inode:kvm-vcpu:5"), 5u);
  for (const char* target : {"", "anon_inode:kvm-vm", "anon_inode:kvm-vcpu:", "/kvm-vcpu:1",
                             "anon_inode:kvm-vcpu-stats:0", "anon_inode:[eventpoll]"}) {
    EXPECT_FALSE(ParseVcpuFdLink(target).has_value()) << target;
  }
}

TEST(DescribeVmmTest, Qemu) {
  const VmmFacts facts = Describe(
      "qemu-system-x86",
      {"/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on", "-uuid",
       "12345678-1234-1234-1234-123456789abc", "-device", "vhost-vsock-pci,id=v,guest-cid=42"});
  EXPECT_EQ(facts.vmm, "qemu");
  EXPECT_EQ(facts.name, "web");
  EXPECT_EQ(facts.uuid, "12345678-1234-1234-1234-123456789abc");
  EXPECT_EQ(facts.vsock_cid, 42u);
  EXPECT_EQ(Describe("kvm", {"kvm", "-name", "db,process=x"}).name, "db");
  EXPECT_EQ(Describe("kvm", {"kvm"}), (VmmFacts{.vmm = "qemu", .name = "", .uuid = ""}));
}

TEST(DescribeVmmTest, OthersByTheirOptions) {
  EXPECT_EQ(Describe("firecracker", {"./firecracker", "--id", "fn-1"}).name, "fn-1");
  EXPECT_EQ(Describe("firecracker", {"./firecracker", "--id=fn-2"}).name, "fn-2");
  EXPECT_EQ(Describe("cloud-hyperviso", {"cloud-hypervisor", "--vsock", "cid=7,socket=/x"}),
            (VmmFacts{.vmm = "cloud-hypervisor", .name = "", .uuid = "", .vsock_cid = 7}));
  EXPECT_EQ(Describe("lkvm", {"lkvm", "run"}).vmm, "kvmtool");
  EXPECT_EQ(Describe("crosvm", {"crosvm", "run", "--cid", "9"}).vsock_cid, 9u);
  EXPECT_EQ(Describe("lockhost-lab", {"lockhost-lab", "--name=demo"}),
            (VmmFacts{.vmm = "lab", .name = "demo", .uuid = ""}));
}

TEST(AcceleratorTest, ThreadNamesOfQemuTellIt) {
  EXPECT_EQ(AcceleratorOfThreadName("CPU 0/KVM"), Accelerator::kKvm);
  EXPECT_EQ(AcceleratorOfThreadName("CPU 0/TCG"), Accelerator::kTcg);
  for (const char* name : {"vcpu0", "x/KVM", "CPU x/TCG", ""}) {
    EXPECT_EQ(AcceleratorOfThreadName(name), Accelerator::kUnknown) << name;
  }
}

TEST(AcceleratorTest, ArgumentsOfQemuTellItUnlessTheyNameSeveral) {
  const auto accelerator = [](std::vector<std::string_view> arguments) {
    return Describe("qemu-system-x86", std::move(arguments)).accelerator;
  };
  EXPECT_EQ(accelerator({"-accel", "kvm"}), Accelerator::kKvm);
  EXPECT_EQ(accelerator({"-accel", "tcg,thread=multi"}), Accelerator::kTcg);
  EXPECT_EQ(accelerator({"-enable-kvm"}), Accelerator::kKvm);
  EXPECT_EQ(accelerator({"-machine", "q35,accel=kvm"}), Accelerator::kKvm);
  EXPECT_EQ(accelerator({"-M", "accel=tcg"}), Accelerator::kTcg);
  EXPECT_EQ(accelerator({"-enable-kvm", "-machine", "accel=kvm"}), Accelerator::kKvm);
  EXPECT_EQ(accelerator({"-accel", "kvm", "-accel", "tcg"}), Accelerator::kUnknown);
  EXPECT_EQ(accelerator({"-machine", "accel=kvm:tcg"}), Accelerator::kUnknown);
  EXPECT_EQ(accelerator({"-accel", "hvf"}), Accelerator::kUnknown);
  EXPECT_EQ(accelerator({"-accel"}), Accelerator::kUnknown);
  EXPECT_EQ(accelerator({}), Accelerator::kUnknown);
}

TEST(DescribeVmmTest, Memory) {
  constexpr uint64_t kMiB = 1024 * 1024;
  const auto memory = [](std::string_view comm, std::vector<std::string_view> arguments) {
    return Describe(comm, std::move(arguments)).memory_bytes;
  };
  EXPECT_EQ(memory("qemu", {"-m", "512"}), 512 * kMiB);
  EXPECT_EQ(memory("qemu", {"-m", "2G"}), 2048 * kMiB);
  EXPECT_EQ(memory("qemu", {"-m", "1G,slots=2,maxmem=4G"}), 1024 * kMiB);
  EXPECT_EQ(memory("qemu", {"-m", "size=2097152k,slots=4"}), 2048 * kMiB);
  EXPECT_EQ(memory("cloud-hyperviso", {"--memory", "size=1024M"}), 1024 * kMiB);
  EXPECT_EQ(memory("crosvm", {"run", "--mem", "256"}), 256 * kMiB);
  EXPECT_EQ(memory("crosvm", {"run", "-m", "size=128"}), 128 * kMiB);
  for (const char* size :
       {"", "G", "-1", "1.5G", "1x", "99999999999999T", "18446744073709551616"}) {
    EXPECT_EQ(memory("qemu", {"-m", size}), 0u) << size;
  }
}

TEST(DescribeVmmTest, UuidOfSmbiosWhereThereIsNoOther) {
  constexpr std::string_view kSmbios = "type=1,manufacturer=x,uuid=U";
  EXPECT_EQ(Describe("qemu", {"qemu", "-smbios", kSmbios}).uuid, "U");
  EXPECT_EQ(Describe("qemu", {"qemu", "-smbios", kSmbios, "-uuid", "V"}).uuid, "V");
  EXPECT_EQ(Describe("qemu", {"qemu", "-smbios", "type=2,uuid=U"}).uuid, "");
}

TEST(DescribeVmmTest, GoesByTheProgramWhereTheNameWasChanged) {
  EXPECT_EQ(Describe("main", {"/opt/firecracker/firecracker", "--id", "x"}).vmm, "firecracker");
  EXPECT_EQ(Describe("bash", {"bash", "-name", "x"}), VmmFacts{});
  EXPECT_EQ(Describe("", {}), VmmFacts{});
}

TEST(DescribeVmmTest, HostileArgumentsGiveHarmlessFacts) {
  EXPECT_EQ(Describe("qemu", {"qemu", "-name"}).name, "");
  EXPECT_EQ(Describe("qemu", {"qemu", "-name", "a\nb\x80"}).name, "a?b?");
  EXPECT_EQ(Describe("crosvm", {"crosvm", "--cid", "2"}).vsock_cid, 0u);  // the host's own
  EXPECT_EQ(Describe("crosvm", {"crosvm", "--cid", "99999999999"}).vsock_cid, 0u);
}

}  // namespace
}  // namespace lockhost::agent
