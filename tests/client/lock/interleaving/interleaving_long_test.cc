// SPDX-License-Identifier: Apache-2.0
//
// interleaving_test.cc within wider bounds.
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

}  // namespace
}  // namespace lockhost::interleaving
