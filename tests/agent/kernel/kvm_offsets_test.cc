// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/kvm_offsets.h"

#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "tests/agent/support/temp_dir.h"

namespace lockhost::agent {
namespace {

struct BtfFree {
  void operator()(btf* types) const { btf__free(types); }
};
using BtfPtr = std::unique_ptr<btf, BtfFree>;

void Write(const std::string& path, const btf* types) {
  uint32_t size = 0;
  const void* data = btf__raw_data(types, &size);
  std::ofstream(path, std::ios::binary).write(static_cast<const char*>(data), size);
}

// Adds the part of KVM's types that the agent looks for, in a layout of its own: the
// interesting members lie behind others, one of them in an anonymous union.
void AddKvmTypes(btf* types) {
  const int u64 = btf__add_int(types, "lh_u64", 8, 0);
  const int u32 = btf__add_int(types, "lh_u32", 4, 0);
  const int pointer = btf__add_ptr(types, 0);
  const int link = btf__add_struct(types, "lh_link", 16);
  btf__add_field(types, "next", pointer, 0, 0);
  btf__add_field(types, "pprev", pointer, 64, 0);
  const int notifier = btf__add_struct(types, "lh_notifier", 24);
  btf__add_field(types, "ops", pointer, 0, 0);
  btf__add_field(types, "link", link, 64, 0);
  const int generic = btf__add_struct(types, "lh_generic", 16);
  btf__add_field(types, "other", u64, 0, 0);
  btf__add_field(types, "blocking", u64, 64, 0);
  const int stat = btf__add_struct(types, "lh_stat", 24);
  btf__add_field(types, "first", u64, 0, 0);
  btf__add_field(types, "generic", generic, 64, 0);
  const int anonymous = btf__add_union(types, "", 8);
  btf__add_field(types, "vcpu_id", u32, 0, 0);
  btf__add_field(types, "whole", u64, 0, 0);
  btf__add_struct(types, "kvm_vcpu", 64);
  btf__add_field(types, "kvm", pointer, 0, 0);
  btf__add_field(types, "preempt_notifier", notifier, 64, 0);
  btf__add_field(types, "", anonymous, 256, 0);
  btf__add_field(types, "stat", stat, 320, 0);
  btf__add_field(types, "flag", u32, 512, 3);
}

constexpr KvmOffsets kMadeUp{.notifier = 16, .kvm = 0, .vcpu_id = 32, .blocking = 56};

TEST(KvmOffsetsTest, OfTheRunningKernel) {
  const auto offsets = ReadKvmOffsets();
  if (!offsets.ok()) GTEST_SKIP() << offsets.status().message();
  // That they are right is shown by agent_bpf_source_test, on real vCPUs.
  EXPECT_NE(offsets->notifier, offsets->kvm);
  EXPECT_NE(offsets->vcpu_id, offsets->blocking);
  EXPECT_EQ(offsets->blocking % 8, 0u);
  EXPECT_EQ(offsets->vcpu_id % 4, 0u);
}

TEST(KvmOffsetsTest, KvmBuiltIn) {
  const TempDir directory;
  const BtfPtr types(btf__new_empty());
  AddKvmTypes(types.get());
  Write(directory.path() + "/vmlinux", types.get());
  const auto offsets = ReadKvmOffsets(directory.path());
  ASSERT_TRUE(offsets.ok()) << offsets.status();
  EXPECT_EQ(*offsets, kMadeUp);
}

TEST(KvmOffsetsTest, KvmAsModule) {
  const TempDir directory;
  const BtfPtr base(btf__new_empty());
  btf__add_int(base.get(), "int", 4, BTF_INT_SIGNED);
  Write(directory.path() + "/vmlinux", base.get());
  const BtfPtr module(btf__new_empty_split(base.get()));
  AddKvmTypes(module.get());
  Write(directory.path() + "/kvm", module.get());
  const auto offsets = ReadKvmOffsets(directory.path());
  ASSERT_TRUE(offsets.ok()) << offsets.status();
  EXPECT_EQ(*offsets, kMadeUp);
}

TEST(KvmOffsetsTest, SaysWhatIsMissing) {
  const TempDir directory;
  auto offsets = ReadKvmOffsets(directory.path());
  EXPECT_TRUE(absl::IsNotFound(offsets.status()));
  EXPECT_NE(offsets.status().message().find("type information"), std::string::npos);
  const BtfPtr base(btf__new_empty());
  btf__add_int(base.get(), "int", 4, BTF_INT_SIGNED);
  Write(directory.path() + "/vmlinux", base.get());
  offsets = ReadKvmOffsets(directory.path());
  EXPECT_TRUE(absl::IsNotFound(offsets.status()));
  EXPECT_NE(offsets.status().message().find("module is not loaded"), std::string::npos);
}

TEST(KvmOffsetsTest, RefusesGarbage) {
  const TempDir directory;
  std::ofstream(directory.path() + "/vmlinux") << "this is no BTF";
  EXPECT_TRUE(absl::IsNotFound(ReadKvmOffsets(directory.path()).status()));
}

TEST(MemberOffsetTest, RefusesOtherSizesBitFieldsAndStrangers) {
  const BtfPtr types(btf__new_empty());
  AddKvmTypes(types.get());
  EXPECT_EQ(*MemberOffset(*types, "kvm_vcpu", "vcpu_id", 4), 32u);
  EXPECT_FALSE(MemberOffset(*types, "kvm_vcpu", "vcpu_id", 8).ok());
  EXPECT_FALSE(MemberOffset(*types, "kvm_vcpu", "flag", 4).ok());
  EXPECT_FALSE(MemberOffset(*types, "kvm_vcpu", "stat.missing", 8).ok());
  EXPECT_FALSE(MemberOffset(*types, "kvm_vcpu", "vcpu_id.deeper", 4).ok());
  EXPECT_FALSE(MemberOffset(*types, "no_such_struct", "x", 4).ok());
}

}  // namespace
}  // namespace lockhost::agent
