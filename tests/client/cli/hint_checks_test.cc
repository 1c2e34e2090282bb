// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "client/cli/doctor/guest_checks.h"

namespace lockhost::doctor {
namespace {

// What is said of threads where the agent offers so much.
Check SaidOf(lockhost_threads_offer offer) {
  GuestFacts facts;
  facts.page.threads = offer;
  for (const Check& check : HintChecks(facts)) {
    if (check.name == "threads") return check;
  }
  return Problem("", "nothing", "");
}

TEST(HintChecksTest, SaysWhetherThreadsAreKnownAndIfNotWhy) {
  EXPECT_EQ(SaidOf(LOCKHOST_THREADS_UNKNOWN).finding, "nothing");
  EXPECT_EQ(SaidOf(LOCKHOST_THREADS_ON).verdict, Verdict::kOk);
  EXPECT_EQ(SaidOf(LOCKHOST_THREADS_OFF).verdict, Verdict::kOk);
  EXPECT_EQ(SaidOf(LOCKHOST_THREADS_UNPRIVILEGED).verdict, Verdict::kOk);
  EXPECT_NE(SaidOf(LOCKHOST_THREADS_UNPRIVILEGED).finding.find("CAP_BPF"), std::string::npos);
}

// Hints flow without threads: nothing that keeps them from being known is a problem.
TEST(HintChecksTest, WithoutThreadsHintsFlowAllTheSame) {
  for (const auto offer :
       {LOCKHOST_THREADS_NO_BTF, LOCKHOST_THREADS_PID_NAMESPACE, LOCKHOST_THREADS_REFUSED}) {
    EXPECT_EQ(SaidOf(offer).verdict, Verdict::kWarning) << offer;
    EXPECT_NE(SaidOf(offer).advice, "") << offer;
  }
}

}  // namespace
}  // namespace lockhost::doctor
