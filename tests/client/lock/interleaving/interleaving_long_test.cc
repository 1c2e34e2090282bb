// SPDX-License-Identifier: Apache-2.0
//
// interleaving_test.cc and cond_interleaving_test.cc within wider bounds.
#include "tests/client/lock/interleaving/expect_sound.h"

namespace lockhost::interleaving {
namespace {

TEST(InterleavingLongTest, ThreeThreadsWithMorePreemptions) {
  ExpectSound({.locks_of_thread = {1, 1, 1}, .preemptions = 3, .looks = 1});
}

TEST(InterleavingLongTest, ThreeThreadsThatComeBack) {
  ExpectSound({.locks_of_thread = {2, 1, 1}, .preemptions = 2, .looks = 1});
}

TEST(InterleavingLongTest, AllGiveUp) {
  ExpectSound(
      {.locks_of_thread = {1, 1, 1}, .timed = {true, true, true}, .preemptions = 1, .looks = 1});
}

TEST(InterleavingLongTest, NativeAndParavirtualHoldersTakeTurns) {
  ExpectSound({.locks_of_thread = {2, 1, 1}, .preemptions = 2, .looks = 1, .switches_mode = true});
}

TEST(InterleavingLongTest, TwoWaitForOneAndOneForTwo) {
  for (const Role puts : {Role::kPuts, Role::kPutsOutside}) {
    ExpectSound({.locks_of_thread = {1, 1, 2},
                 .roles = {Role::kTakes, Role::kTakes, puts},
                 .preemptions = 2,
                 .looks = 1});
    ExpectSound({.locks_of_thread = {2, 1, 1},
                 .roles = {Role::kTakes, puts, puts},
                 .preemptions = 2,
                 .looks = 1});
  }
}

TEST(InterleavingLongTest, AllAreWoken) {
  ExpectSound({.locks_of_thread = {1, 1, 2},
               .roles = {Role::kTakes, Role::kTakes, Role::kPutsOutside},
               .wakes_all = true,
               .preemptions = 2,
               .looks = 1});
}

}  // namespace
}  // namespace lockhost::interleaving
