// SPDX-License-Identifier: Apache-2.0
//
// A hundred agents that die while they boost.
#include "tests/lab/boost_fixture.h"

namespace lockhost::lab {
namespace {

TEST_F(BoostTest, AHundredAgentsKilledInMidBoostLeaveNoThreadBoosted) {
  EXPECT_EQ(KillInMidBoost(100, 400), 100);
}

}  // namespace
}  // namespace lockhost::lab
