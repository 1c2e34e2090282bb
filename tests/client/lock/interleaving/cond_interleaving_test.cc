// SPDX-License-Identifier: Apache-2.0
//
// Mutex and condition variable, over all interleavings within bounds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/lock/interleaving/expect_sound.h"
#include "tests/client/lock/interleaving/explorer.h"

namespace lockhost::interleaving {
namespace {

TEST(CondInterleavingTest, OneWaitsForAnother) {
  for (const Role puts : {Role::kPuts, Role::kPutsOutside}) {
    ExpectSound({.locks_of_thread = {1, 1}, .roles = {Role::kTakes, puts}, .preemptions = 4});
    ExpectSound({.locks_of_thread = {2, 2},
                 .roles = {Role::kTakes, puts},
                 .preemptions = 3,
                 .early_returns = 1,
                 .looks = 1});
  }
}

TEST(CondInterleavingTest, TwoWaitForOneAndOneForTwo) {
  for (const Role puts : {Role::kPuts, Role::kPutsOutside}) {
    ExpectSound({.locks_of_thread = {1, 1, 2},
                 .roles = {Role::kTakes, Role::kTakes, puts},
                 .preemptions = 1,
                 .looks = 1});
    ExpectSound({.locks_of_thread = {2, 1, 1},
                 .roles = {Role::kTakes, puts, puts},
                 .preemptions = 1,
                 .looks = 1});
  }
}

TEST(CondInterleavingTest, AllAreWoken) {
  ExpectSound({.locks_of_thread = {1, 1, 2},
               .roles = {Role::kTakes, Role::kTakes, Role::kPutsOutside},
               .wakes_all = true,
               .preemptions = 1,
               .looks = 1});
}

TEST(BrokenCondTest, IsNoticed) {
  const Bounds bounds = {.locks_of_thread = {1, 1},
                         .roles = {Role::kTakes, Role::kPutsOutside},
                         .preemptions = 2,
                         .looks = 1};
  constexpr char kLostWakeup[] = "everybody sleeps: a wake-up was lost";
  EXPECT_THAT(Explorer(bounds, {.cond_forgets_waiters = true}).Explore().failure,
              testing::StartsWith(kLostWakeup));
  EXPECT_THAT(Explorer(bounds, {.wait_does_not_compare = true}).Explore().failure,
              testing::StartsWith(kLostWakeup));
  EXPECT_THAT(Explorer(bounds, {.kick_wakes_nobody = true}).Explore().failure,
              testing::StartsWith(kLostWakeup));
}

}  // namespace
}  // namespace lockhost::interleaving
