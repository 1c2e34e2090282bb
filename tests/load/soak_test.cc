// SPDX-License-Identifier: Apache-2.0
#include "tests/load/soak_fixture.h"

namespace lockhost::load {
namespace {

TEST_F(SoakTest, TwentyThousandDeltasLeaveNothingBehind) { Soak(20'000); }

}  // namespace
}  // namespace lockhost::load
