// SPDX-License-Identifier: Apache-2.0
//
// A VM's table that the test writes, and a reader of it: the real ones, over a memfd.
#ifndef LOCKHOST_TESTS_SERVER_TABLE_FIXTURE_H_
#define LOCKHOST_TESTS_SERVER_TABLE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "agent/table/memfd_table.h"
#include "agent/table/table_reader.h"
#include "server/directory/vm_record.h"

namespace lockhost::server {

struct TestTable {
  explicit TestTable(uint64_t generation = 1, uint32_t sampled_every_ns = 0) {
    auto made = agent::MemfdTable::Create(generation, sampled_every_ns);
    EXPECT_TRUE(made.ok()) << made.status();
    table = *std::move(made);
    auto attached = agent::TableReader::Attach(table->fd());
    EXPECT_TRUE(attached.ok()) << attached.status();
    reader = *std::move(attached);
  }

  void Set(uint32_t vcpu_id, lockhost_run_state state, uint64_t now_ns = 1) {
    table->SetState(vcpu_id, state, now_ns);
  }

  std::unique_ptr<agent::MemfdTable> table;
  std::shared_ptr<const agent::TableReader> reader;
};

inline std::shared_ptr<VmRecord> MakeRecord(uint64_t vm_id, uint32_t vm_index,
                                            const TestTable& table) {
  VmFacts facts;
  facts.vm_id = vm_id;
  facts.vm_index = vm_index;
  facts.pid = 4242;
  facts.vmm = "test";
  facts.accelerator = "kvm";
  facts.memory_bytes = 1 << 30;
  facts.name = "vm" + std::to_string(vm_id);
  facts.vcpu_count = 4;
  return std::make_shared<VmRecord>(std::move(facts), table.reader, "/run/test.sock");
}

}  // namespace lockhost::server

#endif  // LOCKHOST_TESTS_SERVER_TABLE_FIXTURE_H_
