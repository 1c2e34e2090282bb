// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/demand_watch.h"

#include <gtest/gtest.h>

#include "tests/client/guest_agent/page_file.h"

namespace lockhost::guest_agent {
namespace {

using Change = DemandWatch::Change;

class DemandWatchTest : public testing::Test {
 protected:
  void Await(uint32_t vcpu_id) { lockhost_report_slot_at(page_.get(), vcpu_id)->awaited = 1; }
  // As the lock does it.
  void Ring() {
    if (std::exchange(page_->bell_armed, 0) == 1) ++page_->bell;
  }

  TestDirectory directory_;
  ReportPage reports_ = *ReportPage::Open(directory_.File("reports"), 4);
  ReportView page_{directory_.File("reports")};
  DemandWatch watch_{&reports_, {.look_interval_ns = 50, .ttl_ns = 200, .quiet_looks = 3}};
};

TEST_F(DemandWatchTest, IdleWithoutARing) {
  watch_.Arm();
  EXPECT_EQ(watch_.Step(), Change::kNone);
  EXPECT_FALSE(watch_.demand());
  EXPECT_EQ(page_->bell_armed, 1u);
}

TEST_F(DemandWatchTest, ARingBeginsDemandAndNamesWhoIsAwaited) {
  watch_.Arm();
  const uint32_t value = watch_.bell_value();
  Await(2);
  Ring();
  EXPECT_NE(page_->bell, value);  // the sleeper on the futex wakes
  EXPECT_EQ(watch_.Step(), Change::kBegan);
  EXPECT_TRUE(watch_.demand());
  EXPECT_EQ(watch_.awaited(), (std::vector<uint32_t>{2}));
}

TEST_F(DemandWatchTest, AMarkMadeBeforeTheBellWasArmedBeginsDemandToo) {
  Await(1);  // its maker found the bell unarmed, and did not ring
  watch_.Arm();
  EXPECT_TRUE(reports_.AnyAwaited());
  EXPECT_EQ(watch_.Step(), Change::kBegan);
  EXPECT_EQ(page_->bell_armed, 0u);  // nobody needs to ring any more
}

TEST_F(DemandWatchTest, MarksKeepDemandAliveWithoutAnyRing) {
  watch_.Arm();
  Ring();
  ASSERT_EQ(watch_.Step(), Change::kBegan);
  for (int i = 0; i < 10; ++i) {
    Await(3);
    Ring();  // does nothing: not armed
    EXPECT_EQ(watch_.Step(), Change::kGoesOn);
    EXPECT_EQ(watch_.awaited(), (std::vector<uint32_t>{3}));
  }
}

TEST_F(DemandWatchTest, ThreeQuietLooksEndIt) {
  watch_.Arm();
  Ring();
  ASSERT_EQ(watch_.Step(), Change::kBegan);
  EXPECT_EQ(watch_.Step(), Change::kNone);
  EXPECT_EQ(watch_.Step(), Change::kNone);
  Await(0);
  EXPECT_EQ(watch_.Step(), Change::kGoesOn);  // counts anew
  EXPECT_EQ(watch_.Step(), Change::kNone);
  EXPECT_EQ(watch_.Step(), Change::kNone);
  EXPECT_EQ(watch_.Step(), Change::kEnded);
  EXPECT_FALSE(watch_.demand());
  watch_.Arm();
  EXPECT_EQ(watch_.Step(), Change::kNone);
}

}  // namespace
}  // namespace lockhost::guest_agent
