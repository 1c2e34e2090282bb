// SPDX-License-Identifier: Apache-2.0
#include "common/scheduling.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace lockhost {
namespace {

// Each in a thread of its own: what is asked for must not outlive the test.
template <typename Body>
void InThread(Body body) {
  std::thread(body).join();
}

TEST(SchedulingTest, PatienceIsInheritedAndTakenBack) {
  InThread([] {
    ASSERT_TRUE(RequestPatientWakeups().ok());
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    InThread([] {
      EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
      ASSERT_TRUE(RequestOrdinaryWakeups().ok());
      EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
    });
  });
}

TEST(SchedulingTest, AShortSliceNeedsNoPrivilegeAndEndsPatience) {
  InThread([] {
    ASSERT_TRUE(RequestPatientWakeups().ok());
    EXPECT_TRUE(RequestShortSlice().ok());
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
  });
}

TEST(SchedulingTest, RealTimeIsNotInheritedAndTakenBack) {
  InThread([] {
    if (const absl::Status status = RequestRealTime(); !status.ok()) {
      EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
      GTEST_SKIP() << "no right to real time here: " << status;
    }
    EXPECT_EQ(sched_getscheduler(0) & ~SCHED_RESET_ON_FORK, SCHED_FIFO);
    InThread([] { EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER); });
    ASSERT_TRUE(RequestShortSlice().ok());
    EXPECT_EQ(sched_getscheduler(0) & ~SCHED_RESET_ON_FORK, SCHED_OTHER);
  });
}

}  // namespace
}  // namespace lockhost
