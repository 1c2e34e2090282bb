// SPDX-License-Identifier: Apache-2.0

// What lockhostd may send to the booster's own socket, and how fast.
#include "agent/boost/boost_requests.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <vector>

#include "agent/channel/agent_client.h"
#include "client/page/hint_page.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class BoostRequestsTest : public testing::Test {
 protected:
  absl::Status Ask(uint32_t vcpu_id, uint64_t revision = 5) {
    return SendBoostRequest(requests_.peer_fd(), 7, 3, vcpu_id, revision);
  }
  // Everything that may be taken now.
  uint64_t Take() {
    return requests_.Take(now_, [&](const BoostRequest& request) { taken_.push_back(request); });
  }

  BoostRequests requests_ = *BoostRequests::Create();
  uint64_t now_ = 10 * kSecond;
  std::vector<BoostRequest> taken_;
};

TEST_F(BoostRequestsTest, ARevisionIsThatOfAPreemption) {
  ASSERT_TRUE(Ask(2, 5).ok());
  EXPECT_EQ(Take(), 0u) << "wait for the next";
  ASSERT_EQ(taken_.size(), 1u);
  EXPECT_EQ(taken_[0].vm_id, 7u);
  EXPECT_EQ(taken_[0].vm_index, 3u);
  EXPECT_EQ(taken_[0].vcpu_id, 2u);
  EXPECT_EQ(taken_[0].asker, BoostAsker::kGrpc);
  EXPECT_EQ(taken_[0].state_word, lockhost_state_word(LOCKHOST_RUN_STATE_PREEMPTED, 5));
  EXPECT_EQ(taken_[0].at_ns, 0u);
}

TEST_F(BoostRequestsTest, ThePaceIsTheReaders) {
  for (uint32_t i = 0; i < BoostRequests::kAtOnce + 5; ++i) ASSERT_TRUE(Ask(i).ok()) << i;
  const uint64_t come_back = Take();
  EXPECT_EQ(taken_.size(), BoostRequests::kAtOnce);
  EXPECT_GT(come_back, now_);
  now_ = come_back;
  Take();
  EXPECT_EQ(taken_.size(), BoostRequests::kAtOnce + 1);
  now_ += kSecond;
  EXPECT_EQ(Take(), 0u);
  EXPECT_EQ(taken_.size(), BoostRequests::kAtOnce + 5);
}

TEST_F(BoostRequestsTest, WhoSendsFasterIsToldThatItIsFull) {
  absl::Status sent;
  for (int i = 0; i < 100'000 && sent.ok(); ++i) sent = Ask(1);
  EXPECT_TRUE(absl::IsResourceExhausted(sent)) << sent;
}

TEST_F(BoostRequestsTest, FieldsOutOfRangeEndIt) {
  ASSERT_TRUE(Ask(LOCKHOST_MAX_SLOTS).ok());
  ASSERT_TRUE(Ask(1).ok());
  Take();
  EXPECT_TRUE(taken_.empty());
  EXPECT_EQ(requests_.fd(), -1);
  EXPECT_TRUE(absl::IsUnavailable(Ask(1)));
}

TEST_F(BoostRequestsTest, ARevisionThatNoSlotCanHaveEndsIt) {
  ASSERT_TRUE(Ask(1, UINT64_MAX).ok());
  Take();
  EXPECT_TRUE(taken_.empty());
  EXPECT_EQ(requests_.fd(), -1);
}

TEST_F(BoostRequestsTest, AnotherRecordEndsIt) {
  const auto message = MakeMessage<PlainMessage>(MessageType::kSubscribe);
  ASSERT_TRUE(SendPacket(requests_.peer_fd(), MessageBytes(message), {}).ok());
  Take();
  EXPECT_EQ(requests_.fd(), -1);
}

// Nothing would be readable for ever after, and a real-time thread that waits for it busy.
TEST_F(BoostRequestsTest, APeerThatShutsItDownIsNotWaitedFor) {
  ASSERT_EQ(shutdown(requests_.peer_fd(), SHUT_WR), 0);
  EXPECT_EQ(Take(), 0u);
  EXPECT_EQ(requests_.fd(), -1);
}

}  // namespace
}  // namespace lockhost::agent
