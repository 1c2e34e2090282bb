// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_EXPECT_SOUND_H_
#define LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_EXPECT_SOUND_H_

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>

#include "tests/client/lock/interleaving/explorer.h"

namespace lockhost::interleaving {

// Explores, and expects that the bounds let it come to all that it is to check.
inline Outcome ExpectSound(const Bounds& bounds) {
  const Outcome outcome = Explorer(bounds).Explore();
  EXPECT_EQ(outcome.failure, "") << "in run " << outcome.runs;
  EXPECT_GT(outcome.sleeps, 0u);
  printf("%" PRIu64 " runs, %" PRIu64 " sleeps, %" PRIu64 " claims, %" PRIu64 " given up\n",
         outcome.runs, outcome.sleeps, outcome.claims, outcome.give_ups);
  return outcome;
}

}  // namespace lockhost::interleaving

#endif  // LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_EXPECT_SOUND_H_
