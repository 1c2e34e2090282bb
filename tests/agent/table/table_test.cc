// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "agent/table/memfd_table.h"
#include "agent/table/table_header.h"
#include "agent/table/table_reader.h"

namespace lockhost::agent {
namespace {

constexpr int kAllSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// A sealed memfd with that header, and `bytes` long.
UniqueFd MakeFile(const lockhost_hint_header& header, size_t bytes, int seals = kAllSeals) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
  EXPECT_EQ(pwrite(fd.get(), &header, std::min(bytes, sizeof(header)), 0),
            static_cast<ssize_t>(std::min(bytes, sizeof(header))));
  EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

bool Refused(const UniqueFd& fd) {
  return absl::IsInvalidArgument(TableReader::Attach(fd.get()).status());
}

TEST(TableReaderTest, ReadsWhatIsWritten) {
  auto table = MemfdTable::Create(77);
  ASSERT_TRUE(table.ok()) << table.status();
  const auto reader = TableReader::Attach((*table)->fd());
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->slot_count(), LOCKHOST_MAX_SLOTS);
  EXPECT_EQ((*reader)->generation(), 77u);
  EXPECT_EQ((*reader)->mode(), LOCKHOST_MODE_UNSPECIFIED);
  EXPECT_EQ((*reader)->ReadStateWord(3), 0u);
  (*table)->SetHeader(LOCKHOST_MODE_OVERCOMMITTED, 78);
  (*table)->SetStealNs(3, 55);
  (*table)->SetState(3, LOCKHOST_RUN_STATE_RUNNING, 1000);
  (*table)->SetState(3, LOCKHOST_RUN_STATE_PREEMPTED, 2000);
  EXPECT_EQ((*reader)->generation(), 78u);
  EXPECT_EQ((*reader)->mode(), LOCKHOST_MODE_OVERCOMMITTED);
  const VcpuObservation seen = (*reader)->Read(3);
  EXPECT_EQ(seen.run_state(), LOCKHOST_RUN_STATE_PREEMPTED);
  EXPECT_EQ(seen.revision(), 2u);
  EXPECT_EQ(seen.since_ns, 2000u);
  EXPECT_EQ(seen.steal_ns, 55u);
  EXPECT_EQ(seen.preemptions, 1u);
}

TEST(TableReaderTest, UnknownVcpuHasNoHint) {
  auto table = MemfdTable::Create(1);
  const auto reader = TableReader::Attach((*table)->fd());
  EXPECT_EQ((*reader)->ReadStateWord(LOCKHOST_MAX_SLOTS), 0u);
  EXPECT_EQ((*reader)->Read(UINT32_MAX).state_word, 0u);
}

TEST(TableReaderTest, OutlivesTheDescriptorAndTheWriter) {
  auto table = MemfdTable::Create(1);
  const auto reader = TableReader::Attach((*table)->fd());
  (*table)->SetState(0, LOCKHOST_RUN_STATE_RUNNING, 1);
  table->reset();
  EXPECT_EQ((*reader)->Read(0).run_state(), LOCKHOST_RUN_STATE_RUNNING);
}

TEST(TableReaderTest, RefusesBadHeaders) {
  const lockhost_hint_header good = MakeTableHeader(1);
  EXPECT_FALSE(Refused(MakeFile(good, kTableBytes)));
  const auto with = [&](auto change) {
    lockhost_hint_header bad = good;
    change(bad);
    return MakeFile(bad, kTableBytes);
  };
  EXPECT_TRUE(Refused(with([](auto& header) { header.magic = 0; })));
  EXPECT_TRUE(Refused(with([](auto& header) { header.abi_version = 2; })));
  EXPECT_TRUE(Refused(with([](auto& header) { header.header_size = 32; })));
  EXPECT_TRUE(Refused(with([](auto& header) { header.header_size = 72; })));
  EXPECT_TRUE(Refused(with([](auto& header) { header.slot_stride = 0; })));
  EXPECT_TRUE(Refused(with([](auto& header) { header.slot_stride = 65; })));
  EXPECT_TRUE(Refused(with([](auto& header) { header.slot_count = LOCKHOST_MAX_SLOTS + 1; })));
  EXPECT_TRUE(Refused(with([](auto& header) { header.slot_stride = 128; }))) << "too short";
}

TEST(TableReaderTest, TakesGrownHeaderAndStride) {
  lockhost_hint_header header = MakeTableHeader(1);
  header.header_size = 128;
  header.slot_stride = 192;
  header.slot_count = 2;
  const UniqueFd fd = MakeFile(header, 128 + 2 * 192, F_SEAL_SHRINK | F_SEAL_GROW);
  const uint64_t word = lockhost_state_word(LOCKHOST_RUN_STATE_HALTED, 9);
  ASSERT_EQ(pwrite(fd.get(), &word, sizeof(word), 128 + 192), 8);
  ASSERT_EQ(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  const auto reader = TableReader::Attach(fd.get());
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ((*reader)->Read(1).run_state(), LOCKHOST_RUN_STATE_HALTED);
}

TEST(TableReaderTest, RefusesWhatCouldShrinkOrBeWritten) {
  const lockhost_hint_header header = MakeTableHeader(1);
  EXPECT_TRUE(Refused(MakeFile(header, kTableBytes, F_SEAL_GROW | F_SEAL_WRITE)));
  EXPECT_TRUE(Refused(MakeFile(header, kTableBytes, F_SEAL_SHRINK | F_SEAL_WRITE)));
  EXPECT_TRUE(Refused(MakeFile(header, kTableBytes, F_SEAL_SHRINK | F_SEAL_GROW)));
  EXPECT_TRUE(Refused(MakeFile(header, 32))) << "shorter than a header";
  EXPECT_TRUE(Refused(MakeFile(header, kTableBytes - 1)));
}

TEST(TableReaderTest, RefusesOtherDescriptors) {
  EXPECT_TRUE(Refused(UniqueFd(open("/dev/zero", O_RDONLY))));
  EXPECT_TRUE(Refused(UniqueFd(open("/proc/self/exe", O_RDONLY))));
  EXPECT_FALSE(TableReader::Attach(-1).ok());
}

TEST(MemfdTableTest, NobodyElseCanWriteIt) {
  auto table = MemfdTable::Create(1);
  const int fd = (*table)->fd();
  EXPECT_EQ(mmap(nullptr, kTableBytes, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  EXPECT_EQ(errno, EPERM);
  void* memory = mmap(nullptr, kTableBytes, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_NE(mprotect(memory, kTableBytes, PROT_READ | PROT_WRITE), 0);
  munmap(memory, kTableBytes);
  EXPECT_LT(pwrite(fd, "x", 1, 0), 0);
  EXPECT_NE(ftruncate(fd, 0), 0);
  EXPECT_NE(ftruncate(fd, 1 << 20), 0);
  EXPECT_NE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0) << "or the writer would be locked out";
  (*table)->SetState(0, LOCKHOST_RUN_STATE_RUNNING, 1);
  EXPECT_EQ((*TableReader::Attach(fd))->Read(0).run_state(), LOCKHOST_RUN_STATE_RUNNING);
}

TEST(MemfdTableTest, SameStateIsNoChange) {
  auto table = MemfdTable::Create(1);
  const auto reader = TableReader::Attach((*table)->fd());
  (*table)->SetState(0, LOCKHOST_RUN_STATE_RUNNING, 1);
  (*table)->SetState(0, LOCKHOST_RUN_STATE_RUNNING, 2);
  EXPECT_EQ((*reader)->Read(0).revision(), 1u);
  EXPECT_EQ((*reader)->Read(0).since_ns, 1u);
}

TEST(MemfdTableTest, ClearedSlotKeepsItsRevisionGrowing) {
  auto table = MemfdTable::Create(1);
  const auto reader = TableReader::Attach((*table)->fd());
  (*table)->SetState(0, LOCKHOST_RUN_STATE_RUNNING, 1);
  (*table)->SetStealNs(0, 9);
  (*table)->Clear(0);
  EXPECT_EQ((*reader)->Read(0).run_state(), LOCKHOST_RUN_STATE_UNSPECIFIED);
  EXPECT_EQ((*reader)->Read(0).revision(), 2u);
  EXPECT_EQ((*reader)->Read(0).steal_ns, 0u);
  (*table)->Clear(1);
  EXPECT_EQ((*reader)->ReadStateWord(1), 0u) << "a vCPU never seen stays all zero";
}

TEST(MemfdTableTest, ReaderNeverSeesRevisionsGoBackOrCountersFromThePast) {
  auto table = MemfdTable::Create(1);
  const auto reader = TableReader::Attach((*table)->fd());
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (uint64_t i = 1; !stop; ++i) {
      (*table)->SetState(0, i % 2 == 0 ? LOCKHOST_RUN_STATE_PREEMPTED : LOCKHOST_RUN_STATE_RUNNING,
                         i);
    }
  });
  uint64_t last = 0;
  for (int i = 0; i < 200'000; ++i) {
    const VcpuObservation seen = (*reader)->Read(0);
    ASSERT_GE(seen.revision(), last);
    ASSERT_GE(seen.since_ns, seen.revision());
    last = seen.revision();
  }
  stop = true;
  writer.join();
}

}  // namespace
}  // namespace lockhost::agent
