// SPDX-License-Identifier: Apache-2.0
#include "agent/table/stats_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "agent/table/memfd_table.h"

namespace lockhost::agent {
namespace {

VcpuObservation SlotSince(lockhost_run_state state, uint64_t since_ns) {
  VcpuObservation slot;
  slot.state_word = lockhost_state_word(state, 1);
  slot.since_ns = since_ns;
  slot.steal_ns = 30;
  return slot;
}

lockhost_vcpu_stats SomeBooks() {
  lockhost_vcpu_stats books{};
  books.run_ns = 100;
  books.halted_ns = 200;
  books.exited_ns = 300;
  return books;
}

TEST(TimesAtTest, AddsTheStateThatLasts) {
  const lockhost_vcpu_stats books = SomeBooks();
  EXPECT_EQ(TimesAt(SlotSince(LOCKHOST_RUN_STATE_RUNNING, 1000), books, 1005).run_ns, 105u);
  EXPECT_EQ(TimesAt(SlotSince(LOCKHOST_RUN_STATE_PREEMPTED, 1000), books, 1005).steal_ns, 35u);
  EXPECT_EQ(TimesAt(SlotSince(LOCKHOST_RUN_STATE_HALTED, 1000), books, 1005).halted_ns, 205u);
  EXPECT_EQ(TimesAt(SlotSince(LOCKHOST_RUN_STATE_EXITED, 1000), books, 1005).exited_ns, 305u);
}

TEST(TimesAtTest, AVcpuWithoutAStateGrowsInNothing) {
  const VcpuTimes times = TimesAt(SlotSince(LOCKHOST_RUN_STATE_UNSPECIFIED, 0), SomeBooks(), 5000);
  EXPECT_EQ(times.run_ns + times.steal_ns + times.halted_ns + times.exited_ns, 630u);
}

TEST(TimesAtTest, AChangeAfterTheLookAtTheClockAddsNothing) {
  EXPECT_EQ(TimesAt(SlotSince(LOCKHOST_RUN_STATE_RUNNING, 1000), SomeBooks(), 999).run_ns, 100u);
}

class StatsReaderTest : public testing::Test {
 protected:
  lockhost_vcpu_stats& record(uint32_t index) {
    return static_cast<lockhost_vcpu_stats*>(memory_->data())[index];
  }

  absl::StatusOr<SealedMemory> memory_ =
      SealedMemory::Create("test", sizeof(lockhost_vcpu_stats) * LOCKHOST_MAX_VCPU_STATS);
};

TEST_F(StatsReaderTest, FindsTheRecordsInUse) {
  record(0).vm_id = 99;  // never used, whatever it says
  record(1).vm_id = 7;
  record(4095).vm_id = 8;
  record(4095).switch_outs = 5;
  const auto reader = StatsReader::Attach(memory_->fd());
  ASSERT_TRUE(reader.ok()) << reader.status();
  const auto places = (*reader)->Places();
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0].vm_id, 7u);
  EXPECT_EQ((*reader)->Read(places[1]).switch_outs, 5u);
}

TEST_F(StatsReaderTest, ARecordThatHasChangedHandsReadsAsFree) {
  record(1).vm_id = 7;
  record(1).switch_outs = 5;
  const auto reader = StatsReader::Attach(memory_->fd());
  const auto place = (*reader)->Places().front();
  record(1).vm_id = 8;
  EXPECT_EQ((*reader)->Read(place).vm_id, 0u);
  EXPECT_EQ((*reader)->Read(place).switch_outs, 0u);
  EXPECT_EQ((*reader)->Read({7, LOCKHOST_MAX_VCPU_STATS}).vm_id, 0u) << "beyond the end";
}

TEST_F(StatsReaderTest, RefusesWhatItCouldNotTrust) {
  const auto table = MemfdTable::Create(1);
  ASSERT_TRUE(table.ok());
  EXPECT_TRUE(absl::IsInvalidArgument(StatsReader::Attach((*table)->fd()).status())) << "short";
  const UniqueFd unsealed(memfd_create("test", MFD_CLOEXEC));
  EXPECT_TRUE(absl::IsInvalidArgument(StatsReader::Attach(unsealed.get()).status()));
  const UniqueFd device(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(absl::IsInvalidArgument(StatsReader::Attach(device.get()).status()));
  EXPECT_FALSE(StatsReader::Attach(-1).ok());
}

TEST_F(StatsReaderTest, BooksComeWithTheirSlot) {
  const auto table = MemfdTable::Create(1);
  ASSERT_TRUE(table.ok());
  (*table)->SetState(3, LOCKHOST_RUN_STATE_HALTED, 1000);
  record(2).vm_id = 7;
  record(2).vcpu_id = 3;
  record(2).switch_outs = 1;
  const auto stats = StatsReader::Attach(memory_->fd());
  const auto slots = TableReader::Attach((*table)->fd());
  const VcpuBooks books = ReadBooks(**slots, **stats, {7, 2});
  EXPECT_EQ(books.slot.run_state(), LOCKHOST_RUN_STATE_HALTED);
  EXPECT_EQ(books.stats.switch_outs, 1u);
  EXPECT_EQ(ReadBooks(**slots, **stats, {9, 2}).stats.vm_id, 0u) << "another VM's";
}

}  // namespace
}  // namespace lockhost::agent
