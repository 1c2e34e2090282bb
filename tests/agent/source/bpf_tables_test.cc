// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_tables.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include "agent/bpf/shared.h"
#include "agent/table/table_reader.h"
#include "tests/agent/support/eventually.h"

namespace lockhost::agent {
namespace {

class BpfTablesTest : public testing::Test {
 protected:
  void SetUp() override {
    const UniqueFd like(Make(BPF_MAP_TYPE_ARRAY, sizeof(lockhost_hint_slot), 1 + LOCKHOST_MAX_SLOTS,
                             BPF_F_MMAPABLE, -1));
    if (!like.valid()) GTEST_SKIP() << "may not make BPF maps";
    by_index_.reset(Make(BPF_MAP_TYPE_ARRAY_OF_MAPS, sizeof(uint32_t), LH_MAX_VMS, 0, like.get()));
    ASSERT_TRUE(by_index_.valid());
    tables_ = std::make_unique<BpfTables>(by_index_.get());
  }

  static int Make(bpf_map_type type, uint32_t value_size, uint32_t entries, uint32_t flags,
                  int inner) {
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
    if (inner >= 0) options.inner_map_fd = static_cast<uint32_t>(inner);
    return bpf_map_create(type, "test", sizeof(uint32_t), value_size, entries, &options);
  }
  // Id of the table that programs find; 0: none.
  uint32_t Found(uint32_t vm_index) const {
    uint32_t id = 0;
    return bpf_map_lookup_elem(by_index_.get(), &vm_index, &id) == 0 ? id : 0;
  }
  static uint32_t IdOf(int table) {
    bpf_map_info info{};
    uint32_t size = sizeof(info);
    return bpf_obj_get_info_by_fd(table, &info, &size) == 0 ? info.id : 0;
  }

  UniqueFd by_index_;
  std::unique_ptr<BpfTables> tables_;
};

TEST_F(BpfTablesTest, ProgramsFindTheTableThatWasTaken) {
  const auto table = tables_->Take(200);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(Found(200), IdOf(*table));
  EXPECT_EQ(tables_->fd(200), *table);
  EXPECT_TRUE(TableReader::Attach(*table).ok());
  const uint32_t entry = 1;
  const lockhost_hint_slot slot{};
  EXPECT_NE(bpf_map_update_elem(*table, &entry, &slot, BPF_ANY), 0) << "frozen";
}

TEST_F(BpfTablesTest, TheNextTablesAreReadyBeforeAnybodyAsks) {
  tables_->Begin();
  ASSERT_TRUE(Eventually([&] { return Found(0) != 0 && Found(1) != 0; }));
  const uint32_t ready = Found(0);
  const auto table = tables_->Take(0);
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(IdOf(*table), ready);
  EXPECT_EQ(tables_->fd(1), -1) << "ready, and nobody's";
}

TEST_F(BpfTablesTest, AVmNeverGetsTheTableOfOneThatHasGone) {
  tables_->Begin();
  const auto table = tables_->Take(0);
  ASSERT_TRUE(table.ok());
  const uint32_t old = IdOf(*table);
  tables_->Release(0);
  EXPECT_EQ(tables_->fd(0), -1);
  const auto next = tables_->Take(0);
  ASSERT_TRUE(next.ok());
  EXPECT_NE(IdOf(*next), old);
  EXPECT_EQ(Found(0), IdOf(*next));
}

TEST_F(BpfTablesTest, ATableThatNobodyUsesAnyMoreIsDropped) {
  const auto table = tables_->Take(200);
  ASSERT_TRUE(table.ok());
  tables_->Release(200);
  tables_->Begin();
  EXPECT_TRUE(Eventually([&] { return Found(200) == 0; }));
}

TEST_F(BpfTablesTest, TablesThatLieReadyDoNotPileUp) {
  tables_->Begin();
  const auto count_ready = [&] {
    uint32_t count = 0;
    for (uint32_t index = 0; index < LH_MAX_VMS; ++index) count += Found(index) != 0;
    return count;
  };
  ASSERT_TRUE(Eventually([&] { return count_ready() == 8; }));
  for (uint32_t index = 0; index < 12; ++index) ASSERT_TRUE(tables_->Take(index).ok());
  ASSERT_TRUE(Eventually([&] { return count_ready() == 20; }));
  for (uint32_t index = 0; index < 12; ++index) tables_->Release(index);
  EXPECT_TRUE(Eventually([&] { return count_ready() == 8; })) << count_ready();
}

TEST_F(BpfTablesTest, AnIndexThatIsTooLargeIsAnError) {
  EXPECT_FALSE(tables_->Take(LH_MAX_VMS).ok());
  EXPECT_EQ(tables_->fd(LH_MAX_VMS), -1);
}

}  // namespace
}  // namespace lockhost::agent
