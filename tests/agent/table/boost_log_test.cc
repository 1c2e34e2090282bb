// SPDX-License-Identifier: Apache-2.0
#include "agent/table/boost_log.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/unique_fd.h"

namespace lockhost::agent {
namespace {

TEST(BoostLogTest, TellsWhatIsNewOldestFirst) {
  auto writer = *BoostLogWriter::Create();
  const auto reader = *BoostLogReader::Attach(writer.fd());
  EXPECT_TRUE(reader->After(0).empty());
  for (uint32_t i = 0; i < 3; ++i) writer.Append({.vm_id = 7, .vcpu_id = i});
  const auto records = reader->After(1);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0], (BoostRecord{.id = 2, .vm_id = 7, .vcpu_id = 1}));
  EXPECT_EQ(records[1].id, 3u);
  EXPECT_TRUE(reader->After(3).empty());
}

TEST(BoostLogTest, KeepsTheLatest) {
  auto writer = *BoostLogWriter::Create();
  const auto reader = *BoostLogReader::Attach(writer.fd());
  for (size_t i = 0; i < BoostLogReader::kKept + 10; ++i) writer.Append({});
  const auto records = reader->After(0);
  ASSERT_EQ(records.size(), BoostLogReader::kKept);
  EXPECT_EQ(records.front().id, 11u);
}

TEST(BoostLogTest, AnythingElseIsRefused) {
  UniqueFd other(memfd_create("other", MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(other.get(), 1 << 20), 0);
  EXPECT_FALSE(BoostLogReader::Attach(other.get()).ok());
  EXPECT_FALSE(BoostLogReader::Attach(-1).ok());
}

}  // namespace
}  // namespace lockhost::agent
