// SPDX-License-Identifier: Apache-2.0
#include "tests/load/soak_fixture.h"

namespace lockhost::load {
namespace {

TEST_F(SoakTest, AMillionDeltasLeaveNothingBehind) { Soak(1'000'000); }

}  // namespace
}  // namespace lockhost::load
