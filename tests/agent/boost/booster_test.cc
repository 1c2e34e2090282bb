// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/booster.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "client/page/report_page.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kUs = 1'000;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kVmId = 77;
constexpr uint32_t kVm = 3;
constexpr uint32_t kVcpu = 1;
constexpr int32_t kTid = 500 + kVcpu;
constexpr uint64_t kHeld = 0x50001;

// A host of words: vCPU n of the VM runs in thread 500 + n.
class FakePlatform : public BoostPlatform {
 public:
  uint64_t StateWord(uint32_t, uint32_t vcpu_id) override { return state[vcpu_id]; }
  uint64_t SinceNs(uint32_t, uint32_t) override { return since_ns; }
  int32_t Owner(uint32_t, uint32_t vcpu_id) override {
    if (owner_changes_after_raise && !raised.empty()) return 999;
    return gone ? 0 : static_cast<int32_t>(500 + vcpu_id);
  }
  std::optional<uint64_t> ReportWord(uint32_t, uint32_t) override { return report; }
  void ListenFrom(uint32_t, uint64_t from_ns, uint64_t heirs_from_ns) override {
    listen_from = from_ns;
    heirs_from = heirs_from_ns;
  }
  absl::Status Raise(uint32_t, int32_t tid) override {
    if (raise_status.ok()) raised.insert(tid);
    return raise_status;
  }
  void Restore(int32_t tid, bool surely_there) override {
    raised.erase(tid);
    restored_unseen = surely_there;
  }
  void Charge(uint32_t, int32_t, uint64_t used_ns, uint64_t) override { charged_ns += used_ns; }

  std::map<uint32_t, uint64_t> state;
  uint64_t since_ns = 0;
  std::optional<uint64_t> report = kHeld;
  uint64_t listen_from = 0;
  uint64_t heirs_from = 0;
  absl::Status raise_status;
  bool gone = false;
  bool owner_changes_after_raise = false;
  std::set<int32_t> raised;
  bool restored_unseen = false;
  uint64_t charged_ns = 0;
};

class BoosterTest : public testing::Test {
 protected:
  BoosterTest() : booster_(kLimits, BoostMechanism::kFifo, &platform_, &log_) {
    booster_.AddVm(kVmId, kVm, 0);
  }

  uint64_t Preempt(uint32_t vcpu) {
    return platform_.state[vcpu] = lockhost_state_word(
               LOCKHOST_RUN_STATE_PREEMPTED, lockhost_revision_of(platform_.state[vcpu]) + 1);
  }
  void Enter(lockhost_run_state state, uint64_t at_ns) {
    platform_.state[kVcpu] =
        lockhost_state_word(state, lockhost_revision_of(platform_.state[kVcpu]) + 1);
    platform_.since_ns = at_ns;
  }
  BoostRequest Wish(uint32_t vcpu = kVcpu) {
    return {.vm_id = kVmId,
            .vm_index = kVm,
            .vcpu_id = vcpu,
            .state_word = Preempt(vcpu),
            .report_word = kHeld,
            .at_ns = now_};
  }
  uint64_t Denied(BoostDenial denial, BoostAsker asker = BoostAsker::kDirect) {
    return booster_.Figures(kVm).denied[static_cast<size_t>(asker)][static_cast<size_t>(denial)];
  }
  uint64_t Ended(BoostEnd end, BoostAsker asker = BoostAsker::kDirect) {
    return booster_.Figures(kVm).ended[static_cast<size_t>(asker)][static_cast<size_t>(end)];
  }
  // As a guest asks by a message: it speaks of a revision alone.
  BoostRequest AskedByMessage(uint64_t state_word) {
    return {.vm_id = kVmId,
            .vm_index = kVm,
            .vcpu_id = kVcpu,
            .asker = BoostAsker::kGrpc,
            .state_word = state_word};
  }
  // A boost during which the vCPU runs for so long and goes on holding its lock.
  void UseUp(uint64_t ns) {
    booster_.Request(Wish(), now_);
    Enter(LOCKHOST_RUN_STATE_RUNNING, now_);
    now_ += ns;
    booster_.Look(now_);
  }

  static constexpr BoostLimits kLimits = {.longest_ns = 200 * kUs,
                                          .vm_share = 0.05,
                                          .host_share = 0.1,
                                          .burst_ns = 1000 * kUs,
                                          .surcharge_ns = 0,
                                          .at_once = 1};
  FakePlatform platform_;
  BoostLogWriter log_ = *BoostLogWriter::Create();
  Booster booster_;
  uint64_t now_ = 10 * kSecond;
};

TEST_F(BoosterTest, APreemptedHolderIsBoostedUntilItsLockIsReleased) {
  booster_.Request(Wish(), now_);
  EXPECT_EQ(platform_.raised, std::set<int32_t>{kTid});
  EXPECT_GT(booster_.Look(now_), now_);
  Enter(LOCKHOST_RUN_STATE_RUNNING, now_ + 30 * kUs);
  booster_.Look(now_ + 50 * kUs);
  EXPECT_EQ(platform_.raised.size(), 1u) << "it still holds the lock";
  platform_.report = kHeld + 0x10000;
  EXPECT_EQ(booster_.Look(now_ + 60 * kUs), UINT64_MAX);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Ended(BoostEnd::kReleased), 1u);
  EXPECT_EQ(platform_.charged_ns, 30 * kUs) << "only what it ran";
}

TEST_F(BoosterTest, AnHeirIsBoostedUntilItHasHadTheLock) {
  constexpr uint64_t kFree = 0x40000;
  platform_.report = kFree;
  BoostRequest wish = Wish();
  wish.asker = BoostAsker::kHeir;
  wish.report_word = kFree;
  booster_.Request(wish, now_);
  EXPECT_EQ(platform_.raised, std::set<int32_t>{kTid});
  Enter(LOCKHOST_RUN_STATE_RUNNING, now_ + 30 * kUs);
  platform_.report = kHeld;
  booster_.Look(now_ + 50 * kUs);
  EXPECT_EQ(platform_.raised.size(), 1u) << "it has just taken it";
  platform_.report = kHeld & ~LOCKHOST_REPORT_HOLDER_MASK;
  booster_.Look(now_ + 60 * kUs);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Ended(BoostEnd::kReleased, BoostAsker::kHeir), 1u);
  EXPECT_EQ((*BoostLogReader::Attach(log_.fd()))->After(0).back().asker, BoostAsker::kHeir);
}

TEST_F(BoosterTest, AnHeirGivesWayToAHolderButNotToAnotherHeir) {
  BoostRequest heir = Wish(kVcpu + 1), other = Wish(kVcpu + 2);
  heir.asker = other.asker = BoostAsker::kHeir;
  booster_.Request(heir, now_);
  booster_.Request(other, now_);
  EXPECT_EQ(Denied(BoostDenial::kAtOnce, BoostAsker::kHeir), 1u);
  booster_.Request(Wish(), now_);
  EXPECT_EQ(platform_.raised, std::set<int32_t>{kTid});
  EXPECT_EQ(Ended(BoostEnd::kStopped, BoostAsker::kHeir), 1u);
  booster_.Request(Wish(kVcpu + 3), now_);
  EXPECT_EQ(Denied(BoostDenial::kAtOnce), 1u) << "holders do not";
}

TEST_F(BoosterTest, HeirsLeaveHalfOfTheBudgetToHolders) {
  for (int i = 0; i < 3; ++i) UseUp(kLimits.longest_ns);
  BoostRequest heir = Wish();
  heir.asker = BoostAsker::kHeir;
  booster_.Request(heir, now_);
  EXPECT_EQ(Denied(BoostDenial::kVmBudget, BoostAsker::kHeir), 1u);
  EXPECT_LE(platform_.listen_from, now_);
  EXPECT_GT(platform_.heirs_from, now_) << "what is refused is not even to wake the booster";
  booster_.Request(Wish(), now_);
  EXPECT_EQ(platform_.raised.size(), 1u);
}

TEST_F(BoosterTest, ABoostIsLimitedInTime) {
  UseUp(199 * kUs);
  EXPECT_EQ(platform_.raised.size(), 1u);
  booster_.Look(now_ + 1 * kUs);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Ended(BoostEnd::kTimedOut), 1u);
}

TEST_F(BoosterTest, LooksAgainInTimeForTheLimit) {
  booster_.Request(Wish(), now_);
  for (uint64_t at = now_; !platform_.raised.empty(); at = booster_.Look(at)) {
    ASSERT_LE(at, now_ + kLimits.longest_ns);
  }
}

TEST_F(BoosterTest, AVcpuThatGoesToSleepNeedsItNoMore) {
  booster_.Request(Wish(), now_);
  Enter(LOCKHOST_RUN_STATE_HALTED, now_ + 20 * kUs);
  booster_.Look(now_ + 50 * kUs);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Ended(BoostEnd::kHalted), 1u);
  EXPECT_TRUE(platform_.restored_unseen);
  EXPECT_EQ(platform_.charged_ns, 50 * kUs) << "since when it ran is not known";
}

TEST_F(BoosterTest, WhatTheVmGainsByNotSleepingIsMadeUpForButIsNoBoostedTime) {
  BoostLimits limits = kLimits;
  limits.surcharge_ns = 700 * kUs;
  Booster booster(limits, BoostMechanism::kFifo, &platform_, &log_);
  booster.AddVm(kVmId, kVm, 0);
  booster.Request(Wish(), now_);
  Enter(LOCKHOST_RUN_STATE_RUNNING, now_ + 30 * kUs);
  booster.Look(now_ + 50 * kUs);
  platform_.report = kHeld + 0x10000;
  booster.Look(now_ + 60 * kUs);
  EXPECT_EQ(platform_.charged_ns, 730 * kUs);
  EXPECT_EQ(booster.Figures(kVm).boosted_ns, 30 * kUs);
  booster.Request(Wish(), now_);
  booster.Look(now_ + limits.longest_ns);  // it got no CPU
  EXPECT_EQ(platform_.charged_ns, 730 * kUs);
}

TEST_F(BoosterTest, AVmThatIsBoostedAllTheTimeOwesAThirdOfItAtMost) {
  BoostLimits limits = kLimits;
  limits.surcharge_ns = 4'000 * kUs;
  Booster booster(limits, BoostMechanism::kFifo, &platform_, &log_);
  booster.AddVm(kVmId, kVm, 0);
  for (int boost = 0; boost < 3; ++boost, now_ += 1'200 * kUs) {
    platform_.report = kHeld;
    booster.Request(Wish(), now_);
    Enter(LOCKHOST_RUN_STATE_RUNNING, now_);
    booster.Look(now_ + 5 * kUs);
    platform_.report = kHeld + 0x10000;
    booster.Look(now_ + 10 * kUs);
  }
  EXPECT_EQ(platform_.charged_ns, 3 * 10 * kUs + 4'000 * kUs + 2 * 400 * kUs);
}

TEST_F(BoosterTest, WhatNeverGotACpuCostsNothing) {
  booster_.Request(Wish(), now_);
  booster_.Look(now_ + kLimits.longest_ns);
  EXPECT_EQ(Ended(BoostEnd::kTimedOut), 1u);
  EXPECT_EQ(platform_.charged_ns, 0u);
}

TEST_F(BoosterTest, AThreadThatNoLongerRunsTheVcpuIsLetGo) {
  booster_.Request(Wish(), now_);
  platform_.gone = true;
  booster_.Look(now_ + 50 * kUs);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Ended(BoostEnd::kGone), 1u);
  EXPECT_FALSE(platform_.restored_unseen) << "its tid may be anybody's";
}

TEST_F(BoosterTest, AThreadThatChangedHandsMeanwhileIsLetGoAtOnce) {
  platform_.owner_changes_after_raise = true;
  booster_.Request(Wish(), now_);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Ended(BoostEnd::kGone), 1u);
}

TEST_F(BoosterTest, AStaleRequestDoesNothing) {
  const BoostRequest wish = Wish();
  Enter(LOCKHOST_RUN_STATE_RUNNING, now_);
  booster_.Request(wish, now_);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Denied(BoostDenial::kStale), 1u);
}

TEST_F(BoosterTest, ARequestForARunningVcpuDoesNothing) {
  BoostRequest wish = Wish();
  Enter(LOCKHOST_RUN_STATE_RUNNING, now_);
  wish.state_word = platform_.state[kVcpu];
  booster_.Request(wish, now_);
  EXPECT_TRUE(platform_.raised.empty());
}

TEST_F(BoosterTest, OncePerPreemption) {
  const BoostRequest wish = Wish();
  booster_.Request(wish, now_);
  booster_.Look(now_ + kLimits.longest_ns);  // it never got a CPU
  booster_.Request(wish, now_ + kLimits.longest_ns);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Denied(BoostDenial::kAgain), 1u);
}

TEST_F(BoosterTest, NoMoreAtOnceThanThereMayBe) {
  booster_.Request(Wish(0), now_);
  booster_.Request(Wish(1), now_);
  EXPECT_EQ(platform_.raised, std::set<int32_t>{500});
  EXPECT_EQ(Denied(BoostDenial::kAtOnce), 1u);
}

TEST_F(BoosterTest, ToldTwiceOfOnePreemptionIsNoDenial) {
  const BoostRequest wish = Wish();
  booster_.Request(wish, now_);
  booster_.Request(wish, now_);
  EXPECT_EQ(booster_.Figures(kVm).denied, BoostFigures{}.denied);
}

TEST_F(BoosterTest, AUsedUpBudgetSilencesTheVmUntilItIsFilled) {
  for (int i = 0; i < 5; ++i) UseUp(kLimits.longest_ns);
  EXPECT_GT(platform_.listen_from, now_) << "not even woken";
  booster_.Request(Wish(), now_);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Denied(BoostDenial::kVmBudget), 1u);
  now_ = platform_.listen_from;
  booster_.Request(Wish(), now_);
  EXPECT_EQ(platform_.raised.size(), 1u);
}

TEST_F(BoosterTest, InTheLongRunAVmUsesNoMoreThanItsShare) {
  const uint64_t begin = now_;
  uint64_t used = 0;
  while (now_ < begin + 10 * kSecond) {
    const uint64_t before = platform_.charged_ns;
    UseUp(kLimits.longest_ns);
    used += platform_.charged_ns - before;
    now_ += 100 * kUs;
  }
  EXPECT_LE(used, kSecond / 2 + kLimits.burst_ns + kLimits.longest_ns) << "5% of 10 s";
  EXPECT_GT(used, kSecond * 45 / 100);
}

TEST_F(BoosterTest, WhoCannotPayBackIsBoostedLessAndNotCharged) {
  booster_.SetRepays(kVm, false, now_);
  EXPECT_EQ(booster_.Figures(kVm).repays, 0u);
  const uint64_t begin = now_;
  while (now_ < begin + 10 * kSecond) {
    UseUp(kLimits.longest_ns);
    now_ += 100 * kUs;
  }
  EXPECT_EQ(platform_.charged_ns, 0u);
  EXPECT_LE(booster_.Figures(kVm).boosted_ns, kSecond / 10 + kLimits.burst_ns + kLimits.longest_ns)
      << "1% of 10 s";
  booster_.SetRepays(kVm, true, now_);
  EXPECT_EQ(booster_.Figures(kVm).budget_share, kLimits.vm_share);
}

TEST_F(BoosterTest, VmsShareTheHostsBudget) {
  booster_.AddVm(kVmId + 1, kVm + 1, now_);
  for (int i = 0; i < 5; ++i) UseUp(kLimits.longest_ns);
  BoostRequest other = Wish();
  other.vm_id = kVmId + 1;
  other.vm_index = kVm + 1;
  booster_.Request(other, now_);
  EXPECT_TRUE(platform_.raised.empty());
  const auto denied = booster_.Figures(kVm + 1).denied[0];
  EXPECT_EQ(denied[static_cast<size_t>(BoostDenial::kHostBudget)], 1u);
}

TEST_F(BoosterTest, TheOffSwitchEndsBoostsAndWakeUps) {
  booster_.Request(Wish(), now_);
  booster_.SetVmEnabled(kVm, false, now_);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Ended(BoostEnd::kStopped), 1u);
  EXPECT_EQ(platform_.listen_from, UINT64_MAX);
  booster_.Request(Wish(), now_);
  EXPECT_EQ(Denied(BoostDenial::kOff), 1u);
  booster_.SetVmEnabled(kVm, true, now_);
  EXPECT_LE(platform_.listen_from, now_);
}

TEST_F(BoosterTest, TheHostsOffSwitchHoldsForVmsToCome) {
  booster_.SetEnabled(false, now_);
  booster_.AddVm(kVmId + 1, kVm + 1, now_);
  EXPECT_EQ(platform_.listen_from, UINT64_MAX);
  EXPECT_EQ(booster_.Figures(kVm + 1).enabled, 0u);
}

TEST_F(BoosterTest, AVmThatGoesTakesItsBoostsWithIt) {
  booster_.Request(Wish(), now_);
  booster_.RemoveVm(kVm, now_);
  EXPECT_TRUE(platform_.raised.empty());
  booster_.Request(Wish(), now_);
  EXPECT_TRUE(platform_.raised.empty());
}

TEST_F(BoosterTest, AnIndexUsedAgainIsAnotherVm) {
  const BoostRequest wish = Wish();
  booster_.RemoveVm(kVm, now_);
  booster_.AddVm(kVmId + 1, kVm, now_);
  booster_.Request(wish, now_);
  EXPECT_TRUE(platform_.raised.empty());
}

TEST_F(BoosterTest, WhatTheKernelRefusesIsCounted) {
  platform_.raise_status = absl::PermissionDeniedError("no");
  booster_.Request(Wish(), now_);
  EXPECT_EQ(Denied(BoostDenial::kRefused), 1u);
  platform_.raise_status = absl::FailedPreconditionError("real time");
  booster_.Request(Wish(), now_);
  EXPECT_EQ(Denied(BoostDenial::kNotOrdinary), 1u);
}

TEST_F(BoosterTest, WhatAGuestAskedForIsBoostedUntilTheLimitAndCountedApart) {
  platform_.since_ns = now_ - 300 * kUs;
  platform_.report = std::nullopt;
  booster_.Request(AskedByMessage(Preempt(kVcpu)), now_);
  EXPECT_EQ(platform_.raised, std::set<int32_t>{kTid});
  Enter(LOCKHOST_RUN_STATE_RUNNING, now_ + 20 * kUs);
  booster_.Look(now_ + 50 * kUs);
  EXPECT_EQ(platform_.raised.size(), 1u) << "nobody can tell whether it has let go of its lock";
  booster_.Look(now_ + kLimits.longest_ns);
  EXPECT_EQ(Ended(BoostEnd::kTimedOut, BoostAsker::kGrpc), 1u);
  EXPECT_EQ(Ended(BoostEnd::kTimedOut), 0u);
  const auto records = (*BoostLogReader::Attach(log_.fd()))->After(0);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].asker, BoostAsker::kGrpc);
  EXPECT_EQ(records[0].preempted_at_ns, now_ - 300 * kUs) << "as the table says";
}

TEST_F(BoosterTest, AGuestThatSpeaksOfAnEarlierPreemptionGetsNothing) {
  const uint64_t earlier = Preempt(kVcpu);
  Enter(LOCKHOST_RUN_STATE_RUNNING, now_);
  Preempt(kVcpu);
  booster_.Request(AskedByMessage(earlier), now_);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Denied(BoostDenial::kStale, BoostAsker::kGrpc), 1u);
}

TEST_F(BoosterTest, AGuestsMessagesDrawOnTheSameBudget) {
  for (int i = 0; i < 5; ++i) UseUp(kLimits.longest_ns);
  booster_.Request(AskedByMessage(Preempt(kVcpu)), now_);
  EXPECT_TRUE(platform_.raised.empty());
  EXPECT_EQ(Denied(BoostDenial::kVmBudget, BoostAsker::kGrpc), 1u);
}

TEST_F(BoosterTest, EveryBoostIsLogged) {
  booster_.Request(Wish(), now_);
  Enter(LOCKHOST_RUN_STATE_RUNNING, now_ + 40 * kUs);
  platform_.report = 0;
  booster_.Look(now_ + 50 * kUs);
  const auto records = (*BoostLogReader::Attach(log_.fd()))->After(0);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0], (BoostRecord{.id = 1,
                                     .vm_id = kVmId,
                                     .vcpu_id = kVcpu,
                                     .end = BoostEnd::kReleased,
                                     .preempted_at_ns = now_,
                                     .raised_at_ns = now_,
                                     .running_at_ns = now_ + 40 * kUs,
                                     .ended_at_ns = now_ + 50 * kUs}));
}

}  // namespace
}  // namespace lockhost::agent
