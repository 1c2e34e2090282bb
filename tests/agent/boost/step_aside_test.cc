// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/step_aside.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "tests/agent/support/cpus.h"

namespace lockhost::agent {
namespace {

// In a thread of its own, whose CPUs are nobody else's business.
void InAThread(void (*test)()) { std::thread(test).join(); }

TEST(StepAsideTest, LeavesTheCpuThatItIsOn) {
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "one CPU alone";
  InAThread([] {
    const StepAside step_aside;
    cpu_set_t before, after;
    ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
    for (const int cpu : {0, 1, 0}) {
      BindToCpu(cpu);
      step_aside.From(static_cast<uint32_t>(cpu));
      EXPECT_NE(sched_getcpu(), cpu);
      ASSERT_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
      EXPECT_TRUE(CPU_EQUAL(&before, &after)) << "it may come back";
    }
  });
}

TEST(StepAsideTest, StaysWhereItIsInNobodysWay) {
  InAThread([] {
    BindToCpu(0);
    const StepAside step_aside;
    step_aside.From(1);
    EXPECT_EQ(sched_getcpu(), 0);
    step_aside.From(0);  // has no other
    EXPECT_EQ(sched_getcpu(), 0);
    step_aside.From(1'000'000);
    EXPECT_EQ(sched_getcpu(), 0);
  });
}

}  // namespace
}  // namespace lockhost::agent
