// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/hint_page_writer.h"

#include <gtest/gtest.h>

#include "tests/client/guest_agent/page_file.h"

namespace lockhost::guest_agent {
namespace {

constexpr uint64_t kLeaseEnd = 1'000'000;

HintPageWriter OpenPage(const std::string& path, uint32_t slots) {
  auto page = HintPageWriter::Open(path, slots, LOCKHOST_PAGE_PATH_GRPC);
  EXPECT_TRUE(page.ok()) << page.status();
  return *std::move(page);
}

lockhost_hint_slot Slot(uint32_t state, uint64_t revision, uint64_t witness = 0) {
  lockhost_hint_slot slot{};
  slot.state_word = lockhost_state_word(state, revision);
  slot.witness = witness;
  slot.since_ns = 5;
  slot.steal_ns = 6;
  slot.preemptions = 7;
  slot.lock_holder_preemptions = 8;
  return slot;
}

TEST(HintPageWriterTest, ANewPageIsReadableByAllWritableByItsOwnerAndSaysNothing) {
  TestDirectory directory;
  const std::string path = directory.File("hints");
  const HintPageWriter writer = OpenPage(path, 16);
  EXPECT_EQ(ModeOf(path), 0644u);
  const HintView page(path);
  EXPECT_EQ(page.bytes(), LOCKHOST_HINT_PAGE_BYTES(16u));
  EXPECT_EQ(lockhost_check_hint_page(page.get(), page.bytes()), 16u);
  EXPECT_EQ(page->path, static_cast<uint32_t>(LOCKHOST_PAGE_PATH_GRPC));
  EXPECT_EQ(page->valid_until_ns, 0u);
  EXPECT_EQ(page->generation, 0u);
  EXPECT_EQ(ReadHint(page, 0, 1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED));
}

TEST(HintPageWriterTest, WrittenSlotsAreReadUntilTheLeaseRunsOut) {
  TestDirectory directory;
  HintPageWriter writer = OpenPage(directory.File("hints"), 4);
  const HintView page(directory.File("hints"));
  writer.SetHost(9, LOCKHOST_MODE_OVERCOMMITTED);
  writer.WriteSlot(3, Slot(LOCKHOST_RUN_STATE_PREEMPTED, 77, 42));
  writer.ExtendLease(kLeaseEnd);
  EXPECT_EQ(ReadHint(page, 3, kLeaseEnd - 1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_PREEMPTED));
  EXPECT_EQ(ReadHint(page, 3, kLeaseEnd), static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED));
  EXPECT_EQ(ReadHint(page, 2, 1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED));
  const lockhost_hint_slot* slot = lockhost_hint_slot_at(page.get(), 3);
  EXPECT_EQ(lockhost_revision_of(slot->state_word), 77u);
  EXPECT_EQ(slot->witness, 42u);
  EXPECT_EQ(slot->since_ns, 5u);
  EXPECT_EQ(slot->steal_ns, 6u);
  EXPECT_EQ(slot->preemptions, 7u);
  EXPECT_EQ(slot->lock_holder_preemptions, 8u);
  EXPECT_EQ(page->mode, static_cast<uint32_t>(LOCKHOST_MODE_OVERCOMMITTED));
}

TEST(HintPageWriterTest, VoidingEndsAllHintsAtOnce) {
  TestDirectory directory;
  HintPageWriter writer = OpenPage(directory.File("hints"), 4);
  const HintView page(directory.File("hints"));
  writer.WriteSlot(1, Slot(LOCKHOST_RUN_STATE_RUNNING, 1));
  writer.ExtendLease(kLeaseEnd);
  EXPECT_EQ(ReadHint(page, 1, 1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_RUNNING));
  writer.Void();
  EXPECT_EQ(page->valid_until_ns, 0u);
  EXPECT_EQ(ReadHint(page, 1, 1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_UNSPECIFIED));
}

TEST(HintPageWriterTest, AnotherGenerationClearsWhatTheOldOneSaid) {
  TestDirectory directory;
  HintPageWriter writer = OpenPage(directory.File("hints"), 4);
  const HintView page(directory.File("hints"));
  writer.SetHost(1, LOCKHOST_MODE_OVERCOMMITTED);
  writer.WriteSlot(1, Slot(LOCKHOST_RUN_STATE_PREEMPTED, 5, 9));
  writer.ExtendLease(kLeaseEnd);
  writer.SetHost(1, LOCKHOST_MODE_DEDICATED);
  EXPECT_EQ(ReadHint(page, 1, 1), static_cast<uint32_t>(LOCKHOST_RUN_STATE_PREEMPTED));
  writer.SetHost(2, LOCKHOST_MODE_DEDICATED);
  EXPECT_EQ(page->generation, 2u);
  EXPECT_EQ(page->valid_until_ns, 0u);
  EXPECT_EQ(lockhost_hint_slot_at(page.get(), 1)->state_word, 0u);
  EXPECT_EQ(lockhost_hint_slot_at(page.get(), 1)->witness, 0u);
}

TEST(HintPageWriterTest, ARestartedAgentKeepsTheSlotsAndClearsWhatTheyHeld) {
  TestDirectory directory;
  const std::string path = directory.File("hints");
  {
    HintPageWriter writer = OpenPage(path, 8);
    writer.SetHost(1, LOCKHOST_MODE_OVERCOMMITTED);
    writer.WriteSlot(7, Slot(LOCKHOST_RUN_STATE_RUNNING, 5));
    writer.ExtendLease(kLeaseEnd);
  }
  const HintView page(path);
  const HintPageWriter again = OpenPage(path, 64);
  EXPECT_EQ(again.slot_count(), 8u);
  EXPECT_EQ(page->valid_until_ns, 0u);
  EXPECT_EQ(page->generation, 0u);
  EXPECT_EQ(lockhost_hint_slot_at(page.get(), 7)->state_word, 0u);
}

TEST(HintPageWriterTest, APageOfOthersHandsIsNotBelieved) {
  TestDirectory directory;
  const std::string path = directory.File("hints");
  MakeFile(path, 4096);
  {
    const HintView page(path);
    page->magic = LOCKHOST_HINT_PAGE_MAGIC;
    page->abi_version = LOCKHOST_PAGE_ABI_VERSION;
    page->header_size = 64;
    page->slot_stride = 64;
    page->slot_count = 5000;  // more than there is room for
  }
  const HintPageWriter writer = OpenPage(path, 256);
  EXPECT_EQ(writer.slot_count(), 63u);
}

TEST(HintPageWriterTest, AFileThatIsTooShortOrNoFileIsRefused) {
  TestDirectory directory;
  MakeFile(directory.File("short"), 100);
  EXPECT_TRUE(absl::IsInvalidArgument(
      HintPageWriter::Open(directory.File("short"), 4, LOCKHOST_PAGE_PATH_GRPC).status()));
  EXPECT_FALSE(
      HintPageWriter::Open(directory.File("no/such/dir"), 4, LOCKHOST_PAGE_PATH_GRPC).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(
      HintPageWriter::Open("/dev/null", 4, LOCKHOST_PAGE_PATH_GRPC).status()));
}

TEST(HintPageWriterTest, APageMayBeAnInheritedMemfd) {
  const int fd = memfd_create("page", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(fd, 4096), 0);
  const HintPageWriter writer = OpenPage("/proc/self/fd/" + std::to_string(fd), 4);
  EXPECT_EQ(writer.slot_count(), 4u);
  close(fd);
}

}  // namespace
}  // namespace lockhost::guest_agent
