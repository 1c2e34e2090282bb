// SPDX-License-Identifier: Apache-2.0

// A table of the BPF source, as a client holds it: nothing can be done with it but to
// read it, also by root, while BPF goes on writing.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "agent/table/table_header.h"
#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/other_user.h"
#include "tests/agent/support/spinner.h"

namespace lockhost::agent {
namespace {

class TableTrustTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!WatchFromLastCpu())
      GTEST_SKIP() << "one CPU alone: whoever looks on stops what it looks at";
    auto runner = AgentRunner::Start({.source = "bpf"});
    if (!runner.ok()) GTEST_SKIP() << runner.status().message();
    runner_ = *std::move(runner);
    AgentClient client = *AgentClient::Connect(runner_->socket());
    const pid_t tids[] = {first_.tid(), second_.tid()};
    ASSERT_TRUE(client.RegisterVcpus(tids).ok());
    auto event = client.Await(kPatience);
    ASSERT_TRUE(event.ok() && std::holds_alternative<VmEvent>(*event));
    table_ = std::move(std::get<VmEvent>(*event).table);
    reader_ = *TableReader::Attach(table_.get());
  }

  Spinner first_{"plain"};
  Spinner second_{"plain"};
  std::unique_ptr<AgentRunner> runner_;
  UniqueFd table_;
  std::unique_ptr<TableReader> reader_;
};

TEST_F(TableTrustTest, CannotBeWrittenByAnyMeans) {
  const int fd = table_.get();
  for (const int protection : {PROT_WRITE, PROT_READ | PROT_WRITE}) {
    EXPECT_EQ(mmap(nullptr, kTableBytes, protection, MAP_SHARED, fd, 0), MAP_FAILED);
  }
  void* memory = mmap(nullptr, kTableBytes, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_NE(mprotect(memory, kTableBytes, PROT_READ | PROT_WRITE), 0);
  munmap(memory, kTableBytes);
  const uint32_t key = 1;
  const lockhost_hint_slot slot{};
  EXPECT_NE(bpf_map_update_elem(fd, &key, &slot, BPF_ANY), 0);
  EXPECT_NE(bpf_map_delete_elem(fd, &key), 0);
  EXPECT_NE(write(fd, &slot, sizeof(slot)), static_cast<ssize_t>(sizeof(slot)));
  EXPECT_NE(ftruncate(fd, 0), 0);
}

TEST_F(TableTrustTest, BpfGoesOnWriting) {
  ASSERT_TRUE(Eventually([&] { return reader_->Read(0).revision() > 0; }));
  const uint64_t revision = reader_->Read(0).revision();
  EXPECT_TRUE(Eventually([&] { return reader_->Read(0).revision() > revision + 10; }));
  EXPECT_TRUE(Eventually([&] { return reader_->mode() != LOCKHOST_MODE_DEDICATED; }));
}

TEST_F(TableTrustTest, AnUnprivilegedProcessCanReadIt) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to become another user";
  EXPECT_EQ(InChild(kNobody,
                    [&] {
                      const auto reader = TableReader::Attach(table_.get());
                      if (!reader.ok()) return 1;
                      return Eventually([&] { return (*reader)->Read(0).revision() > 0; }) ? 0 : 2;
                    }),
            0);
}

TEST_F(TableTrustTest, HoldsNothingButWhatTheGuestMayKnow) {
  ASSERT_TRUE(Eventually([&] { return reader_->Read(1).revision() > 10; }));
  const size_t words = kTableBytes / sizeof(uint64_t);
  void* memory = mmap(nullptr, kTableBytes, PROT_READ, MAP_SHARED, table_.get(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  const auto* word = static_cast<const volatile uint64_t*>(memory);
  // Beyond the two slots all is zero; and within them no kernel address.
  for (size_t i = 8; i < words; ++i) {
    EXPECT_LT(word[i], 0xffff000000000000u) << i;
  }
  for (size_t i = 8 + 2 * 8; i < words; ++i) EXPECT_EQ(word[i], 0u) << i;
  EXPECT_EQ(word[4], 0u) << "no lease";
  munmap(memory, kTableBytes);
}

TEST_F(TableTrustTest, SaysNoHintOnceTheAgentHasEnded) {
  ASSERT_TRUE(Eventually([&] { return reader_->Read(0).revision() > 0; }));
  runner_.reset();
  EXPECT_EQ(reader_->Read(0).run_state(), LOCKHOST_RUN_STATE_UNSPECIFIED);
  EXPECT_EQ(reader_->generation(), 0u);
}

}  // namespace
}  // namespace lockhost::agent
