// SPDX-License-Identifier: Apache-2.0
#include "server/boost/boost_requester.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>

#include "agent/channel/packet.h"
#include "tests/server/table_fixture.h"

namespace lockhost::server {
namespace {

constexpr uint64_t kVmId = 7;
constexpr uint32_t kIndex = 3;

class BoostRequesterTest : public testing::Test {
 protected:
  BoostRequesterTest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    agent_.reset(ends[0]);
    requester_.Use(UniqueFd(ends[1]));
    table_.Set(1, LOCKHOST_RUN_STATE_RUNNING);
    table_.Set(1, LOCKHOST_RUN_STATE_PREEMPTED);
  }

  void Ask(std::vector<AwaitedHolder> holders) {
    requester_.Ask(record_.get(), holders, &pace_, now_ns_);
  }
  uint64_t Revision() const { return table_.reader->Read(1).revision(); }
  std::optional<agent::BoostVcpuMessage> Heard() {
    const auto packet = agent::ReceivePacket(agent_.get());
    if (!packet.ok() || !packet->has_value()) return std::nullopt;
    return *agent::ParsePacket<agent::BoostVcpuMessage>(**packet);
  }

  UniqueFd agent_;
  TestTable table_;
  std::shared_ptr<VmRecord> record_ = MakeRecord(kVmId, kIndex, table_);
  const VmCounters& counters_ = record_->counters();
  TokenBucket pace_{10, 2};
  uint64_t now_ns_ = 1'000'000'000'000;
  BoostRequester requester_;
};

TEST_F(BoostRequesterTest, ForwardsWhoIsStillPreempted) {
  Ask({{1, Revision()}});
  const auto message = Heard();
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->header.type, agent::MessageType::kBoostVcpu);
  EXPECT_EQ(message->vm_id, kVmId);
  EXPECT_EQ(message->vm_index, kIndex);
  EXPECT_EQ(message->vcpu_id, 1u);
  EXPECT_EQ(message->revision, Revision());
  EXPECT_EQ(counters_.boosts_forwarded, 1u);
}

TEST_F(BoostRequesterTest, WhoHasGoneOnCostsTheAgentNothing) {
  const uint64_t earlier = Revision();
  table_.Set(1, LOCKHOST_RUN_STATE_RUNNING);
  Ask({{1, earlier}, {1, Revision()}});
  table_.Set(1, LOCKHOST_RUN_STATE_PREEMPTED);
  Ask({{1, earlier}});
  EXPECT_FALSE(Heard().has_value());
  EXPECT_EQ(counters_.boosts_stale, 3u);
}

TEST_F(BoostRequesterTest, AVcpuThatTheTableDoesNotHaveIsStale) {
  Ask({{UINT32_MAX, 1}});
  EXPECT_FALSE(Heard().has_value());
  EXPECT_EQ(counters_.boosts_stale, 1u);
}

TEST_F(BoostRequesterTest, AVmsPaceIsBounded) {
  for (int i = 0; i < 5; ++i) Ask({{1, Revision()}});
  EXPECT_EQ(counters_.boosts_forwarded, 2u);
  EXPECT_EQ(counters_.boosts_too_fast, 3u);
}

TEST_F(BoostRequesterTest, WhoseReportsTheHostReadsNeedsNotAsk) {
  VmFacts facts = record_->facts();
  facts.reports_readable = true;
  record_->Update(facts, table_.reader);
  Ask({{1, Revision()}});
  EXPECT_FALSE(Heard().has_value());
}

TEST_F(BoostRequesterTest, WithoutABoosterItIsCounted) {
  requester_.Use({});
  Ask({{1, Revision()}});
  EXPECT_EQ(counters_.boosts_unsent, 1u);
}

TEST_F(BoostRequesterTest, ABoosterThatHasGoneIsCounted) {
  agent_.reset();
  Ask({{1, Revision()}});
  EXPECT_EQ(counters_.boosts_unsent, 1u);
}

}  // namespace
}  // namespace lockhost::server
