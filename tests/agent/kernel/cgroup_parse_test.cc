// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/cgroup_parse.h"

#include <gtest/gtest.h>

#include <string>

namespace lockhost::agent {
namespace {

constexpr char kScope[] = "/machine.slice/machine-qemu\\x2d3\\x2dweb\\x2dfront.scope";

TEST(UnescapeUnitNameTest, UndoesWholeEscapesAndLeavesTheRest) {
  EXPECT_EQ(UnescapeUnitName("a\\x2db\\x2Dc"), "a-b-c");
  EXPECT_EQ(UnescapeUnitName("\\x5cx2d"), "\\x2d");  // once only
  EXPECT_EQ(UnescapeUnitName(std::string("\\x00")), std::string("\0", 1));
  for (const char* text : {"", "\\", "\\x", "\\x2", "\\xzz", "a\\", "\\y2d"}) {
    EXPECT_EQ(UnescapeUnitName(text), text);
  }
}

TEST(LibvirtCgroupTest, TellsMachineAndVcpu) {
  EXPECT_EQ(ParseLibvirtCgroup(std::string("0::") + kScope + "/libvirt/vcpu2\n"),
            (LibvirtCgroup{"web-front", 2}));
  EXPECT_EQ(ParseLibvirtCgroup(std::string("0::") + kScope + "/libvirt/emulator\n"),
            (LibvirtCgroup{"web-front", std::nullopt}));
  EXPECT_EQ(ParseLibvirtCgroup(std::string("0::") + kScope), (LibvirtCgroup{"web-front", {}}));
}

TEST(LibvirtCgroupTest, TakesTheHierarchyOfVersion1ThatHasVcpus) {
  const std::string text = std::string("9:memory:") + kScope + "\n4:cpu,cpuacct:" + kScope +
                           "/vcpu1\n1:name=systemd:" + kScope + "\n";
  EXPECT_EQ(ParseLibvirtCgroup(text), (LibvirtCgroup{"web-front", 1}));
}

TEST(LibvirtCgroupTest, RefusesOthers) {
  for (const char* text :
       {"", "\n", "0::/", "0::/user.slice/user-0.slice/session-1.scope", "0:/machine.slice",
        "0::/machine.slice/machine-qemu.scope",
        "0::/machine.slice/machine-qemu\\x2dx\\x2dweb.scope",
        "0::/machine.slice/machine-lxc\\x2d1\\x2dweb.scope", "0::/vcpu1", "0::/libvirt/vcpu1"}) {
    EXPECT_FALSE(ParseLibvirtCgroup(text).has_value()) << text;
  }
}

TEST(LibvirtCgroupTest, HostileNamesGiveHarmlessFacts) {
  const auto name = [](const std::string& component) {
    return ParseLibvirtCgroup("0::/machine-qemu\\x2d1\\x2d" + component + ".scope");
  };
  EXPECT_EQ(name("a\\x0ab\\x00\\xff")->name, "a?b??");
  EXPECT_EQ(name("a:b")->name, "a:b");
  EXPECT_EQ(name("..")->name, "..");
  const auto vcpu = [](const std::string& component) {
    return ParseLibvirtCgroup(std::string("0::") + kScope + component)->vcpu_id;
  };
  EXPECT_FALSE(vcpu("/libvirt/vcpu").has_value());
  EXPECT_FALSE(vcpu("/libvirt/vcpu99999").has_value());
  EXPECT_FALSE(vcpu("/other/vcpu1").has_value());
}

}  // namespace
}  // namespace lockhost::agent
