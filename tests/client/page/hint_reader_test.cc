// SPDX-License-Identifier: Apache-2.0
#include "client/page/hint_reader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace {

constexpr uint32_t kSlots = 4;
constexpr uint64_t kNow = 1'000'000;

// A hint page and a report page in plain memory.
class HintReaderTest : public testing::Test {
 protected:
  HintReaderTest() {
    header().magic = LOCKHOST_HINT_PAGE_MAGIC;
    header().abi_version = LOCKHOST_PAGE_ABI_VERSION;
    header().header_size = sizeof(lockhost_hint_header);
    header().slot_stride = sizeof(lockhost_hint_slot);
    header().slot_count = kSlots;
    header().valid_until_ns = kNow + 1;
    reports().magic = LOCKHOST_REPORT_PAGE_MAGIC;
    reports().abi_version = LOCKHOST_PAGE_ABI_VERSION;
    reports().slot_count = kSlots;
    pages_ = {&header(), &header(), &reports(), kSlots, kSlots};
  }

  lockhost_hint_header& header() { return page_.header; }
  lockhost_report_header& reports() { return report_page_.header; }
  void SetState(uint32_t vcpu, uint32_t state, uint64_t witness = 0) {
    page_.slots[vcpu].witness = witness;
    page_.slots[vcpu].state_word = lockhost_state_word(state, ++revision_);
  }
  void SetReportWord(uint32_t vcpu, uint64_t word) { report_page_.slots[vcpu].report_word = word; }
  uint32_t Read(uint32_t vcpu, uint64_t now = kNow) {
    return lockhost_read_hint(&pages_, vcpu, now);
  }
  uint32_t Check(uint64_t bytes) { return lockhost_check_hint_page(&header(), bytes); }

  struct {
    lockhost_hint_header header = {};
    lockhost_hint_slot slots[kSlots] = {};
  } page_;
  struct {
    lockhost_report_header header = {};
    lockhost_report_slot slots[kSlots] = {};
  } report_page_;
  lockhost_pages pages_ = {};
  uint64_t revision_ = 0;
};

TEST_F(HintReaderTest, ReadsEveryState) {
  for (uint32_t state = LOCKHOST_RUN_STATE_RUNNING; state <= LOCKHOST_RUN_STATE_EXITED; ++state) {
    SetState(1, state);
    EXPECT_EQ(Read(1), state);
  }
}

TEST_F(HintReaderTest, APreemptedVcpuThatIsRecalledIsExpectedToRun) {
  const auto expected = [this] { return lockhost_expected_state(&pages_, 1, Read(1)); };
  SetState(1, LOCKHOST_RUN_STATE_PREEMPTED);
  EXPECT_EQ(expected(), LOCKHOST_RUN_STATE_PREEMPTED);
  page_.slots[1].recalled = page_.slots[1].state_word;
  EXPECT_EQ(expected(), LOCKHOST_RUN_STATE_RUNNING);
  SetState(1, LOCKHOST_RUN_STATE_PREEMPTED);
  EXPECT_EQ(expected(), LOCKHOST_RUN_STATE_PREEMPTED) << "that was another preemption";
  SetState(1, LOCKHOST_RUN_STATE_HALTED);
  page_.slots[1].recalled = page_.slots[1].state_word;
  EXPECT_EQ(expected(), LOCKHOST_RUN_STATE_HALTED);
  EXPECT_EQ(lockhost_expected_state(&pages_, kSlots, Read(kSlots)), LOCKHOST_RUN_STATE_UNSPECIFIED);
}

TEST_F(HintReaderTest, ZeroedSlotIsNoHint) { EXPECT_EQ(Read(2), LOCKHOST_RUN_STATE_UNSPECIFIED); }

TEST_F(HintReaderTest, StateOutOfRangeIsNoHint) {
  SetState(1, 77);
  EXPECT_EQ(Read(1), LOCKHOST_RUN_STATE_UNSPECIFIED);
}

// A host that only looks, every 1,000 ns: what it says counts for two looks.
TEST_F(HintReaderTest, AStateThatIsSampledIsShortLived) {
  header().path = LOCKHOST_PAGE_PATH_GRPC;
  header().sampled_every_ns = 1000;
  header().valid_until_ns = UINT64_MAX;
  SetState(1, LOCKHOST_RUN_STATE_PREEMPTED);
  page_.slots[1].since_ns = kNow;
  EXPECT_EQ(Read(1, kNow - 1), LOCKHOST_RUN_STATE_PREEMPTED) << "written after `now` was taken";
  EXPECT_EQ(Read(1, kNow + 2000), LOCKHOST_RUN_STATE_PREEMPTED);
  EXPECT_EQ(Read(1, kNow + 2001), LOCKHOST_RUN_STATE_UNSPECIFIED);
  header().sampled_every_ns = 0;
  EXPECT_EQ(Read(1, kNow + 2001), LOCKHOST_RUN_STATE_PREEMPTED);
}

TEST_F(HintReaderTest, TheAgeOfADirectPagesStatesIsNotKnown) {
  header().path = LOCKHOST_PAGE_PATH_DIRECT_MAP;
  header().sampled_every_ns = 1000;
  header().valid_until_ns = UINT64_MAX;
  SetState(1, LOCKHOST_RUN_STATE_PREEMPTED);
  page_.slots[1].since_ns = 1;  // by the host's clock
  EXPECT_EQ(Read(1, kNow), LOCKHOST_RUN_STATE_PREEMPTED);
}

TEST_F(HintReaderTest, PromptIsADirectPageWhoseWriterSeesEverySwitch) {
  header().path = LOCKHOST_PAGE_PATH_DIRECT_MAP;
  EXPECT_TRUE(lockhost_hints_are_prompt(&pages_));
  header().sampled_every_ns = 1;
  EXPECT_FALSE(lockhost_hints_are_prompt(&pages_));
  header().sampled_every_ns = 0;
  header().path = LOCKHOST_PAGE_PATH_GRPC;
  EXPECT_FALSE(lockhost_hints_are_prompt(&pages_));
}

TEST_F(HintReaderTest, PastTheLeaseIsNoHint) {
  SetState(1, LOCKHOST_RUN_STATE_PREEMPTED);
  EXPECT_EQ(Read(1, kNow), LOCKHOST_RUN_STATE_PREEMPTED);
  EXPECT_EQ(Read(1, kNow + 1), LOCKHOST_RUN_STATE_UNSPECIFIED);
  header().valid_until_ns = 0;
  EXPECT_EQ(Read(1), LOCKHOST_RUN_STATE_UNSPECIFIED);
}

TEST_F(HintReaderTest, UnknownVcpuIsNoHint) {
  EXPECT_EQ(Read(kSlots), LOCKHOST_RUN_STATE_UNSPECIFIED);
  EXPECT_EQ(Read(UINT32_MAX), LOCKHOST_RUN_STATE_UNSPECIFIED);
}

TEST_F(HintReaderTest, NoPagesIsNoHint) {
  const lockhost_pages none = {};
  EXPECT_EQ(lockhost_read_hint(&none, 0, kNow), LOCKHOST_RUN_STATE_UNSPECIFIED);
}

TEST_F(HintReaderTest, ThePagesOwnCountIsNotTrustedAfterAttach) {
  header().slot_count = UINT32_MAX;
  EXPECT_EQ(Read(kSlots), LOCKHOST_RUN_STATE_UNSPECIFIED);
}

TEST_F(HintReaderTest, WitnessKeepsAHintWhileTheVcpuDoesNotRun) {
  SetReportWord(1, 0x50001);
  SetState(1, LOCKHOST_RUN_STATE_PREEMPTED, /*witness=*/0x50001);
  EXPECT_EQ(Read(1), LOCKHOST_RUN_STATE_PREEMPTED);
}

TEST_F(HintReaderTest, WitnessRefutesAHintOnceTheVcpuHasRun) {
  SetState(1, LOCKHOST_RUN_STATE_PREEMPTED, /*witness=*/0x50001);
  SetReportWord(1, 0x60000);
  EXPECT_EQ(Read(1), LOCKHOST_RUN_STATE_RUNNING);
}

TEST_F(HintReaderTest, WithoutReportPageNothingIsRefuted) {
  SetState(1, LOCKHOST_RUN_STATE_PREEMPTED, /*witness=*/0x50001);
  pages_.reports = nullptr;
  pages_.report_slots = 0;
  EXPECT_EQ(Read(1), LOCKHOST_RUN_STATE_PREEMPTED);
}

TEST_F(HintReaderTest, LeaseAndSlotsMayBeDifferentPages) {
  lockhost_hint_header lease = {};
  pages_.lease = &lease;
  SetState(1, LOCKHOST_RUN_STATE_RUNNING);
  EXPECT_EQ(Read(1), LOCKHOST_RUN_STATE_UNSPECIFIED);
  lease.valid_until_ns = kNow + 1;
  EXPECT_EQ(Read(1), LOCKHOST_RUN_STATE_RUNNING);
}

TEST_F(HintReaderTest, CheckAcceptsAGoodPage) { EXPECT_EQ(Check(sizeof(page_)), kSlots); }

TEST_F(HintReaderTest, CheckCutsTheCountToTheMappedSize) {
  header().slot_count = 1000;
  EXPECT_EQ(Check(sizeof(page_)), kSlots);
  EXPECT_EQ(Check(64 + 64 + 63), 1u);
}

TEST_F(HintReaderTest, CheckRefusesWhatIsNotAPage) {
  EXPECT_EQ(lockhost_check_hint_page(nullptr, 4096), 0u);
  EXPECT_EQ(Check(63), 0u);
  header().magic ^= 1;
  EXPECT_EQ(Check(sizeof(page_)), 0u);
}

TEST_F(HintReaderTest, CheckRefusesAnotherVersionOrLayout) {
  header().abi_version = LOCKHOST_PAGE_ABI_VERSION + 1;
  EXPECT_EQ(Check(sizeof(page_)), 0u);
  header().abi_version = LOCKHOST_PAGE_ABI_VERSION;
  header().slot_stride = 32;
  EXPECT_EQ(Check(sizeof(page_)), 0u);
  header().slot_stride = 64;
  header().header_size = 128;
  EXPECT_EQ(Check(sizeof(page_)), 0u);
}

TEST_F(HintReaderTest, CheckOfReportPage) {
  EXPECT_EQ(lockhost_check_report_page(&reports(), sizeof(report_page_)), kSlots);
  EXPECT_EQ(lockhost_check_report_page(&reports(), 64 + 127), 0u);
  reports().magic = LOCKHOST_HINT_PAGE_MAGIC;
  EXPECT_EQ(lockhost_check_report_page(&reports(), sizeof(report_page_)), 0u);
}

}  // namespace
