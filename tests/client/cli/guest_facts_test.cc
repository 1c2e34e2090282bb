// SPDX-License-Identifier: Apache-2.0
#include "client/cli/doctor/guest_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "client/cli/doctor/cpuid.h"
#include "common/unique_fd.h"
#include "tests/agent/support/temp_dir.h"

namespace lockhost::doctor {
namespace {

CpuidRegisters Signature(const char* text) {
  char bytes[12] = {};
  memcpy(bytes, text, strnlen(text, sizeof(bytes)));
  CpuidRegisters leaf;
  memcpy(&leaf.ebx, bytes, 4);
  memcpy(&leaf.ecx, bytes + 4, 4);
  memcpy(&leaf.edx, bytes + 8, 4);
  return leaf;
}

TEST(HypervisorTest, NoHypervisorIsAskedNothingMore) {
  const HypervisorFacts facts = ReadHypervisor([](uint32_t leaf) {
    EXPECT_EQ(leaf, 1u);
    return CpuidRegisters{};
  });
  EXPECT_FALSE(facts.present);
}

TEST(HypervisorTest, KvmBehindHyperVLeavesIsFound) {
  const HypervisorFacts facts = ReadHypervisor([](uint32_t leaf) -> CpuidRegisters {
    switch (leaf) {
      case 1:
        return {.ecx = 1u << 31};
      case 0x40000000:
        return Signature("Microsoft Hv");
      case 0x40000100:
        return Signature("KVMKVMKVM");
      case 0x40000101:
        return {.eax = 1u << 5 | 1u << 13, .edx = 1};
      default:
        return {};
    }
  });
  EXPECT_TRUE(facts.is_kvm);
  EXPECT_TRUE(facts.has_steal_time());
  EXPECT_FALSE(facts.has_pv_unhalt());
  EXPECT_TRUE(facts.has_pv_sched_yield());
  EXPECT_TRUE(facts.says_dedicated());
}

TEST(HypervisorTest, AnotherHypervisorIsNamed) {
  const HypervisorFacts facts = ReadHypervisor([](uint32_t leaf) {
    return leaf == 1 ? CpuidRegisters{.ecx = 1u << 31} : Signature("TCGTCGTCGTCG");
  });
  EXPECT_TRUE(facts.present);
  EXPECT_FALSE(facts.is_kvm);
  EXPECT_EQ(facts.signature, "TCGTCGTCGTCG");
}

TEST(GuestFactsTest, StealTimeIsTheEighthNumber) {
  EXPECT_EQ(ParseStealTicks("cpu  1 2 3 4 5 6 7 88 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n"), 88u);
  EXPECT_FALSE(ParseStealTicks("cpu  1 2 3 4 5 6 7\n"));
  EXPECT_FALSE(ParseStealTicks(""));
}

TEST(GuestFactsTest, TheLastWordOnSpinlocksCounts) {
  EXPECT_EQ(FindSpinlockLine("[0.1] kvm-guest: PV spinlocks disabled, single CPU\n"
                             "[0.2] kvm-guest: PV spinlocks enabled\n[0.3] x\n"),
            "PV spinlocks enabled");
  EXPECT_EQ(FindSpinlockLine("nothing of the kind"), "");
}

TEST(HintPageTest, IsReadOrRefusedWithAReason) {
  const agent::TempDir directory;
  const std::string path = directory.path() + "/hints";
  EXPECT_TRUE(absl::IsNotFound(ReadHintPage(path, 5).status));
  std::ofstream(path) << "short";
  EXPECT_TRUE(absl::IsInvalidArgument(ReadHintPage(path, 5).status));
  std::ofstream(path, std::ios::binary) << std::string(4096, 'x');
  EXPECT_TRUE(absl::IsInvalidArgument(ReadHintPage(path, 5).status));

  lockhost_hint_header header{};
  header.magic = LOCKHOST_HINT_PAGE_MAGIC;
  header.abi_version = LOCKHOST_PAGE_ABI_VERSION;
  header.header_size = sizeof(lockhost_hint_header);
  header.slot_stride = sizeof(lockhost_hint_slot);
  header.slot_count = 4;
  header.generation = 9;
  header.valid_until_ns = 77;
  header.path = LOCKHOST_PAGE_PATH_GRPC;
  std::string page(LOCKHOST_HINT_PAGE_BYTES(4), '\0');
  memcpy(page.data(), &header, sizeof(header));
  std::ofstream(path, std::ios::binary) << page;
  const HintPageFacts facts = ReadHintPage(path, 5);
  ASSERT_TRUE(facts.status.ok()) << facts.status;
  EXPECT_EQ(facts.slots, 4u);
  EXPECT_EQ(facts.generation, 9u);
  EXPECT_EQ(facts.valid_until_ns, 77u);
  EXPECT_EQ(facts.looked_at_ns, 5u);
}

TEST(HintPageTest, ASocketThatNobodyAnswersIsNoPage) {
  const agent::TempDir directory;
  const std::string path = directory.path() + "/pages.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_FALSE(ReadHintPage(path, 5).status.ok());
}

TEST(EnvironmentTest, SaysWhatTheLibrarySaysInThisProcess) {
  setenv("LOCKHOST_PAGE_SOCKET", "/nonexistent/pages.sock", 1);
  setenv("LOCKHOST_MODE", "paravirtual", 1);
  const EnvironmentFacts facts = ReadEnvironment();
  EXPECT_EQ(facts.hint_page, "/nonexistent/pages.sock");
  EXPECT_EQ(facts.lock_status, LOCKHOST_STATUS_NO_PAGE);
  EXPECT_THAT(facts.lock_description, testing::EndsWith("paravirtual: LOCKHOST_MODE=paravirtual"));
}

}  // namespace
}  // namespace lockhost::doctor
