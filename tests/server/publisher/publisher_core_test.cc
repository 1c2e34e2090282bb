// SPDX-License-Identifier: Apache-2.0
#include "server/publisher/publisher_core.h"

#include <gtest/gtest.h>

#include "agent/source/interest_memfd.h"
#include "tests/server/publisher/fake_sink.h"
#include "tests/server/table_fixture.h"

namespace lockhost::server {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kVm = 7;
constexpr uint32_t kIndex = 3;

class PublisherCoreTest : public testing::Test {
 protected:
  PublisherCoreTest() {
    table_.Set(0, LOCKHOST_RUN_STATE_RUNNING);
    table_.Set(1, LOCKHOST_RUN_STATE_RUNNING);
    record_ = MakeRecord(kVm, kIndex, table_);
  }

  void ConnectAgent(bool has_ring = true) {
    auto interest = InterestMap::Map(interest_->fd());
    ASSERT_TRUE(interest.ok());
    core_.AgentHere(*std::move(interest), has_ring, now_);
  }
  std::shared_ptr<FakeGuest> OpenStream() {
    auto guest = std::make_shared<FakeGuest>();
    core_.AddStream(kVm, std::make_unique<FakeSink>(guest), now_);
    return guest;
  }
  std::shared_ptr<FakeGuest> Serve(bool has_ring = true) {
    ConnectAgent(has_ring);
    core_.PutVm(record_, now_);
    return OpenStream();
  }
  void ShowDemand(uint64_t ttl_ns = 200 * kMs, std::vector<uint32_t> awaited = {}) {
    core_.ApplyDemand(kVm, {.has_demand = true, .ttl_ns = ttl_ns, .awaited = std::move(awaited)},
                      now_);
  }
  void Event(uint32_t vcpu_id, uint64_t at_ns) {
    core_.OnEvent(
        {.vm_id = kVm, .vm_index = kIndex, .vcpu_id = vcpu_id, .state_word = 0, .at_ns = at_ns});
    core_.Flush(now_);
  }
  bool HasDemand() { return interest_->HasDemand(kIndex, kVm, now_); }

  static PublisherCore::Options Options() {
    PublisherCore::Options options;
    options.instance = 99;
    return options;
  }

  uint64_t now_ = 1'000'000 * kMs;
  std::unique_ptr<agent::InterestMemfd> interest_ = *agent::InterestMemfd::Create();
  TestTable table_;
  std::shared_ptr<VmRecord> record_;
  FakeTransport transport_;
  PublisherStats stats_;
  PublisherCore core_{Options(), &transport_, &stats_};
};

TEST_F(PublisherCoreTest, AStreamOpensWithASnapshotAtOnce) {
  const auto guest = Serve();
  ASSERT_EQ(guest->count(), 1u);
  EXPECT_EQ(guest->last().snapshot().reason(), v1::SNAPSHOT_REASON_OPENED);
  EXPECT_EQ(guest->last().snapshot().vcpus_size(), 2);
  EXPECT_NE(guest->last().snapshot().generation(), 0u);
  EXPECT_EQ(record_->counters().snapshots[v1::SNAPSHOT_REASON_OPENED], 1u);
}

TEST_F(PublisherCoreTest, WithoutDemandEventsCauseNothing) {
  const auto guest = Serve();
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  Event(0, now_);
  EXPECT_EQ(guest->count(), 1u);
  EXPECT_FALSE(HasDemand());
  EXPECT_EQ(stats_.events, 1u);
}

TEST_F(PublisherCoreTest, DemandIsAnsweredAtOnceWithEveryVcpuAndSetsInterest) {
  const auto guest = Serve();
  ShowDemand(200 * kMs, {1});
  ASSERT_EQ(guest->count(), 2u);
  EXPECT_EQ(guest->last().delta().vcpus_size(), 2);
  EXPECT_TRUE(HasDemand());
  EXPECT_TRUE(record_->counters().demand);
  ShowDemand();  // goes on: nothing has changed, nothing is said
  EXPECT_EQ(guest->count(), 2u);
}

TEST_F(PublisherCoreTest, AnEventUnderDemandBecomesADelta) {
  const auto guest = Serve();
  ShowDemand();
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  table_.Set(1, LOCKHOST_RUN_STATE_HALTED);  // rides along
  Event(0, now_ - 15'000);
  ASSERT_EQ(guest->count(), 3u);
  EXPECT_EQ(guest->last().delta().vcpus_size(), 2);
  EXPECT_EQ(stats_.delivery.sum_ns, 15'000u);
  EXPECT_EQ(stats_.delivery.counts[2], 1u);
}

TEST_F(PublisherCoreTest, AStreamThatReadsTheSlotsElsewhereGetsNoDeltas) {
  const auto guest = Serve();
  guest->wants_deltas = false;
  ShowDemand();
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  Event(0, now_);
  EXPECT_EQ(guest->count(), 1u) << "the snapshot alone";
}

TEST_F(PublisherCoreTest, ManyEventsAtOnceAreOneMessage) {
  const auto guest = Serve();
  ShowDemand();
  for (int i = 0; i < 100; ++i) {
    table_.Set(0, i % 2 ? LOCKHOST_RUN_STATE_RUNNING : LOCKHOST_RUN_STATE_PREEMPTED);
    core_.OnEvent({.vm_id = kVm, .vm_index = kIndex, .vcpu_id = 0, .state_word = 0, .at_ns = 1});
  }
  core_.Flush(now_);
  EXPECT_EQ(guest->count(), 3u);
}

TEST_F(PublisherCoreTest, AnEventOfAVcpuNotSeenBeforeIsTold) {
  const auto guest = Serve();
  ShowDemand();
  table_.Set(5, LOCKHOST_RUN_STATE_RUNNING);
  Event(5, now_);
  ASSERT_EQ(guest->count(), 3u);
  EXPECT_EQ(guest->last().delta().vcpus(0).vcpu_id(), 5u);
}

TEST_F(PublisherCoreTest, EventsOfUnknownVmsAndVcpusAreCountedAndHarmless) {
  Serve();
  core_.OnEvent({.vm_id = 1234, .vm_index = 0, .vcpu_id = 0, .state_word = 0, .at_ns = 1});
  core_.OnEvent(
      {.vm_id = kVm, .vm_index = kIndex, .vcpu_id = UINT32_MAX, .state_word = 0, .at_ns = 1});
  core_.Flush(now_);
  EXPECT_EQ(stats_.events, 2u);
  EXPECT_EQ(stats_.events_unknown, 1u);
}

TEST_F(PublisherCoreTest, ASlowGuestGetsTheLatestWhenItReadsAgain) {
  const auto guest = Serve();
  ShowDemand(1000 * kMs);
  guest->set_reads(false);
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  Event(0, now_);  // stays under way
  ASSERT_EQ(guest->count(), 3u);
  for (int i = 0; i < 50; ++i) {
    table_.Set(0, i % 2 ? LOCKHOST_RUN_STATE_PREEMPTED : LOCKHOST_RUN_STATE_RUNNING);
    Event(0, now_);
  }
  EXPECT_EQ(guest->count(), 3u);
  EXPECT_TRUE(core_.blocked());
  guest->set_reads(true);
  const uint64_t next = core_.Tick(now_);
  EXPECT_GT(next, now_);
  ASSERT_EQ(guest->count(), 4u);
  EXPECT_EQ(guest->last().delta().vcpus_size(), 1);
  EXPECT_EQ(guest->last().delta().vcpus(0).run_state(), v1::RUN_STATE_PREEMPTED);
  EXPECT_EQ(guest->last().delta().vcpus(0).revision(), 52u);
}

TEST_F(PublisherCoreTest, ABlockedStreamIsLookedAtEverMoreRarely) {
  const auto guest = Serve();
  guest->set_reads(false);
  now_ += 1000 * kMs;
  uint64_t pause = core_.Tick(now_) - now_;  // writes the heartbeat
  table_.table->SetHeader(LOCKHOST_MODE_DEDICATED, 1);
  now_ += 1000 * kMs;
  for (int i = 0; i < 12; ++i) {
    pause = core_.Tick(now_) - now_;
    EXPECT_GT(pause, 0u);
  }
  EXPECT_GE(pause, 100 * kMs);
}

TEST_F(PublisherCoreTest, HeartbeatsKeepTheirPaceAndNothingElseWakes) {
  const auto guest = Serve();
  for (int second = 1; second <= 5; ++second) {
    const uint64_t next = core_.Tick(now_);
    EXPECT_EQ(next, now_ + 1000 * kMs);
    now_ = next;
    core_.Tick(now_);
    EXPECT_EQ(guest->count(), 1u + second);
    EXPECT_TRUE(guest->last().has_heartbeat());
  }
}

TEST_F(PublisherCoreTest, WithoutStreamsNothingWakes) {
  ConnectAgent();
  core_.PutVm(record_, now_);
  EXPECT_EQ(core_.Tick(now_), PublisherCore::kNever);
}

TEST_F(PublisherCoreTest, WhenDemandExpiresInterestGoes) {
  const auto guest = Serve();
  ShowDemand(100 * kMs);
  EXPECT_EQ(core_.Tick(now_), now_ + 100 * kMs);
  now_ += 100 * kMs;
  core_.Tick(now_);
  EXPECT_FALSE(record_->counters().demand);
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  Event(0, now_);
  EXPECT_EQ(guest->count(), 2u);
  ShowDemand();  // anew: all is told again
  EXPECT_EQ(guest->last().delta().vcpus_size(), 2);
}

TEST_F(PublisherCoreTest, DemandWithoutAStreamWantsNoWakeUps) {
  ConnectAgent();
  core_.PutVm(record_, now_);
  ShowDemand();
  EXPECT_FALSE(HasDemand());
  const auto guest = OpenStream();
  EXPECT_TRUE(HasDemand());
}

TEST_F(PublisherCoreTest, WithoutARingTablesArePolledUnderDemandOnly) {
  const auto guest = Serve(/*has_ring=*/false);
  EXPECT_EQ(core_.Tick(now_), now_ + 1000 * kMs);
  ShowDemand();
  EXPECT_EQ(core_.Tick(now_), now_ + 4 * kMs);
  table_.Set(1, LOCKHOST_RUN_STATE_PREEMPTED);
  now_ += 4 * kMs;
  core_.Tick(now_);
  ASSERT_EQ(guest->count(), 3u);
  EXPECT_EQ(guest->last().delta().vcpus(0).vcpu_id(), 1u);
}

TEST_F(PublisherCoreTest, WithoutTheAgentNothingIsSaidSoThatLeasesRunOut) {
  const auto guest = Serve();
  ShowDemand(1000 * kMs);
  core_.AgentGone();
  table_.Set(0, LOCKHOST_RUN_STATE_PREEMPTED);
  Event(0, now_);
  now_ += 5000 * kMs;
  core_.Tick(now_);
  EXPECT_EQ(guest->count(), 2u);
  EXPECT_FALSE(HasDemand());
}

TEST_F(PublisherCoreTest, AnAgentThatIsBackMakesASnapshot) {
  const auto guest = Serve();
  core_.AgentGone();
  core_.PutVm(record_, now_);
  ConnectAgent();
  ASSERT_EQ(guest->count(), 2u);
  EXPECT_EQ(guest->last().snapshot().reason(), v1::SNAPSHOT_REASON_RESYNC);
  core_.AgentGone();
  const TestTable other(2);
  record_->Update(record_->facts(), other.reader);
  core_.PutVm(record_, now_);
  ConnectAgent();
  EXPECT_EQ(guest->last().snapshot().reason(), v1::SNAPSHOT_REASON_NEW_GENERATION);
}

TEST_F(PublisherCoreTest, AStreamThatOpensWhileTheAgentIsAwayWaits) {
  core_.PutVm(record_, now_);
  const auto guest = OpenStream();
  EXPECT_EQ(guest->count(), 0u);
  ConnectAgent();
  ASSERT_EQ(guest->count(), 1u);
  EXPECT_EQ(guest->last().snapshot().reason(), v1::SNAPSHOT_REASON_OPENED);
}

TEST_F(PublisherCoreTest, ChangedFactsAloneAreNoNewsForTheGuest) {
  const auto guest = Serve();
  core_.PutVm(record_, now_);
  EXPECT_EQ(guest->count(), 1u);
}

TEST_F(PublisherCoreTest, AnotherInstanceShowsAnotherGeneration) {
  EXPECT_NE(GuestGeneration(*table_.reader, 1), GuestGeneration(*table_.reader, 2));
  const TestTable other(2);
  EXPECT_NE(GuestGeneration(*table_.reader, 1), GuestGeneration(*other.reader, 1));
  EXPECT_NE(GuestGeneration(*TestTable(0).reader, 0), 0u);
}

TEST_F(PublisherCoreTest, AGoneVmEndsItsStreams) {
  const auto guest = Serve();
  ShowDemand();
  core_.RemoveVm(kVm, now_);
  ASSERT_TRUE(guest->end().has_value());
  EXPECT_TRUE(absl::IsNotFound(*guest->end()));
  EXPECT_FALSE(HasDemand());
  core_.Tick(now_);
  EXPECT_TRUE(core_.idle());
  core_.RemoveVm(kVm, now_);
  ShowDemand();
}

TEST_F(PublisherCoreTest, AStreamOfAnUnknownVmEndsAtOnce) {
  ConnectAgent();
  const auto guest = OpenStream();
  ASSERT_TRUE(guest->end().has_value());
  EXPECT_TRUE(absl::IsNotFound(*guest->end()));
}

TEST_F(PublisherCoreTest, ACallThatWasNotAdmittedEndsWithItsStatus) {
  ConnectAgent();
  core_.PutVm(record_, now_);
  auto guest = std::make_shared<FakeGuest>();
  core_.AddStream(kVm, std::make_unique<FakeSink>(guest, absl::ResourceExhaustedError("many")),
                  now_);
  EXPECT_TRUE(absl::IsResourceExhausted(*guest->end()));
  EXPECT_EQ(guest->count(), 0u);
}

TEST_F(PublisherCoreTest, DrainingEndsAllStreamsAndThoseThatCome) {
  const auto guest = Serve();
  core_.Drain(now_);
  EXPECT_TRUE(absl::IsUnavailable(*guest->end()));
  const auto late = OpenStream();
  EXPECT_TRUE(absl::IsUnavailable(*late->end()));
  core_.Tick(now_);
  EXPECT_TRUE(core_.idle());
}

TEST_F(PublisherCoreTest, AGuestThatNeverReadsIsAbortedWhenItsTimeIsUp) {
  const auto guest = Serve();
  guest->set_reads(false);
  ShowDemand();  // a message that stays under way
  core_.Drain(now_);
  core_.Tick(now_);
  EXPECT_FALSE(core_.idle());
  now_ += 1000 * kMs;
  core_.Tick(now_);
  EXPECT_TRUE(guest->aborted());
  core_.Tick(now_);
  EXPECT_TRUE(core_.idle());
}

TEST_F(PublisherCoreTest, AStreamThatHungUpIsForgotten) {
  const auto guest = Serve();
  guest->HangUp();
  now_ += 1000 * kMs;
  EXPECT_EQ(core_.Tick(now_), PublisherCore::kNever);
  EXPECT_TRUE(core_.idle());
}

}  // namespace
}  // namespace lockhost::server
