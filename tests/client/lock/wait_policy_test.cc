// SPDX-License-Identifier: Apache-2.0
#include "client/lock/wait_policy.h"

#include <gtest/gtest.h>

#include "client/lock/lock_mode.h"
#include "client/lock/lock_word.h"
#include "client/lock/settings.h"

namespace lockhost::lock {
namespace {

struct Row {
  uint32_t state;
  bool prompt;
  bool on_my_vcpu;
  uint64_t stalled_ns;
  Advice expected;
};

TEST(WaitPolicyTest, Table) {
  const Row rows[] = {
      // While the holder runs: spin, but not for ever on the word of a hint.
      {LOCKHOST_RUN_STATE_RUNNING, true, false, 0, Advice::kSpin},
      {LOCKHOST_RUN_STATE_RUNNING, true, false, kRunningSpinNs - 1, Advice::kSpin},
      {LOCKHOST_RUN_STATE_RUNNING, true, false, kRunningSpinNs, Advice::kPark},
      // By messages RUNNING may be old news: no longer than without a hint.
      {LOCKHOST_RUN_STATE_RUNNING, false, false, kBlindSpinNs - 1, Advice::kSpin},
      {LOCKHOST_RUN_STATE_RUNNING, false, false, kBlindSpinNs, Advice::kPark},
      // While it does not: park at once.
      {LOCKHOST_RUN_STATE_PREEMPTED, true, false, 0, Advice::kPark},
      {LOCKHOST_RUN_STATE_PREEMPTED, false, false, 0, Advice::kPark},
      {LOCKHOST_RUN_STATE_HALTED, false, false, 0, Advice::kPark},
      {LOCKHOST_RUN_STATE_EXITED, true, false, 0, Advice::kPark},
      // Without a hint, or with one of a later version: spin a bounded while.
      {LOCKHOST_RUN_STATE_UNSPECIFIED, true, false, 0, Advice::kSpin},
      {LOCKHOST_RUN_STATE_UNSPECIFIED, true, false, kBlindSpinNs, Advice::kPark},
      {99, false, false, kBlindSpinNs - 1, Advice::kSpin},
      {99, true, false, kBlindSpinNs, Advice::kPark},
      // A holder last seen where I run now does not run, whatever the hint says.
      {LOCKHOST_RUN_STATE_RUNNING, true, true, 0, Advice::kPark},
      {LOCKHOST_RUN_STATE_UNSPECIFIED, false, true, 0, Advice::kPark},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Advise({row.state, row.prompt, row.on_my_vcpu, false, false, row.stalled_ns,
                      LOCKHOST_THREAD_STATE_UNSPECIFIED}),
              row.expected)
        << "state " << row.state << ", prompt " << row.prompt << ", on my vCPU " << row.on_my_vcpu
        << ", stalled " << row.stalled_ns << " ns";
  }
}

// A view in which all that is not said is not known.
WaitView ViewOf(uint32_t vcpu, uint64_t stalled_ns) {
  WaitView view = {};
  view.holder_state = vcpu;
  view.hints_are_prompt = true;
  view.stalled_ns = stalled_ns;
  return view;
}

TEST(WaitPolicyTest, AVcpuThatRunsDoesNotMakeTheHolderOfAMutexRun) {
  WaitView view = ViewOf(LOCKHOST_RUN_STATE_RUNNING, kBlindSpinNs);
  view.holder_may_sleep = true;
  EXPECT_EQ(Advise(view), Advice::kPark);
  view.stalled_ns = 0;
  EXPECT_EQ(Advise(view), Advice::kSpin);
  view.holder_state = LOCKHOST_RUN_STATE_PREEMPTED;
  EXPECT_EQ(Advise(view), Advice::kPark);
}

TEST(WaitPolicyTest, ANativeHolderIsTakenToRunButNotForEver) {
  WaitView view = ViewOf(LOCKHOST_RUN_STATE_UNSPECIFIED, kBlindSpinNs);
  view.holder_is_native = true;
  EXPECT_EQ(Advise(view), Advice::kSpin);
  view.stalled_ns = kRunningSpinNs;
  EXPECT_EQ(Advise(view), Advice::kPark);
  view.holder_may_sleep = true;
  view.stalled_ns = kBlindSpinNs;
  EXPECT_EQ(Advise(view), Advice::kPark) << "of a mutex it may sleep";
}

// Thread and vCPU beside each other; the same for a mutex, whose holder is seen to run.
TEST(WaitPolicyTest, TableOfThreads) {
  constexpr uint32_t kUnknown = LOCKHOST_RUN_STATE_UNSPECIFIED;
  constexpr uint32_t kRuns = LOCKHOST_RUN_STATE_RUNNING;
  struct ThreadRow {
    uint32_t thread;
    uint32_t vcpu;
    bool prompt;
    uint64_t stalled_ns;
    Advice expected;
  };
  const ThreadRow rows[] = {
      // On a CPU of the guest, and nothing against the vCPU: spin as for a vCPU that runs.
      {LOCKHOST_THREAD_STATE_ON_CPU, kUnknown, false, kRunningSpinNs - 1, Advice::kSpin},
      {LOCKHOST_THREAD_STATE_ON_CPU, kUnknown, false, kRunningSpinNs, Advice::kPark},
      {LOCKHOST_THREAD_STATE_ON_CPU, kRuns, true, kRunningSpinNs - 1, Advice::kSpin},
      {LOCKHOST_THREAD_STATE_ON_CPU, kRuns, true, kRunningSpinNs, Advice::kPark},
      // That the vCPU still runs may be old news where messages tell it.
      {LOCKHOST_THREAD_STATE_ON_CPU, kRuns, false, kBlindSpinNs - 1, Advice::kSpin},
      {LOCKHOST_THREAD_STATE_ON_CPU, kRuns, false, kBlindSpinNs, Advice::kPark},
      // On a CPU of the guest that has none of the host's.
      {LOCKHOST_THREAD_STATE_ON_CPU, LOCKHOST_RUN_STATE_PREEMPTED, true, 0, Advice::kPark},
      {LOCKHOST_THREAD_STATE_ON_CPU, LOCKHOST_RUN_STATE_EXITED, false, 0, Advice::kPark},
      // Descheduled by the guest, whatever its vCPU does meanwhile.
      {LOCKHOST_THREAD_STATE_PREEMPTED, kRuns, true, 0, Advice::kPark},
      {LOCKHOST_THREAD_STATE_PREEMPTED, kUnknown, false, 0, Advice::kPark},
      {LOCKHOST_THREAD_STATE_ASLEEP, kRuns, true, 0, Advice::kPark},
      {LOCKHOST_THREAD_STATE_ASLEEP, kUnknown, false, 0, Advice::kPark},
      // A state of a later version is none.
      {99, kUnknown, true, kBlindSpinNs - 1, Advice::kSpin},
      {99, kUnknown, true, kBlindSpinNs, Advice::kPark},
  };
  for (const ThreadRow& row : rows) {
    for (const bool may_sleep : {false, true}) {
      WaitView view = ViewOf(row.vcpu, row.stalled_ns);
      view.hints_are_prompt = row.prompt;
      view.holder_thread = row.thread;
      view.holder_may_sleep = may_sleep;
      EXPECT_EQ(Advise(view), row.expected)
          << "thread " << row.thread << ", vCPU " << row.vcpu << ", prompt " << row.prompt
          << ", stalled " << row.stalled_ns << " ns, mutex " << may_sleep;
    }
  }
}

TEST(WaitPolicyTest, AThreadThatIsSaidToRunWhereIRunDoesNot) {
  WaitView view = ViewOf(LOCKHOST_RUN_STATE_RUNNING, 0);
  view.holder_thread = LOCKHOST_THREAD_STATE_ON_CPU;
  view.holder_on_my_vcpu = true;
  EXPECT_EQ(Advise(view), Advice::kPark);
}

TEST(ModePolicyTest, Table) {
  struct Row {
    ModeView view;
    bool native;
  };
  const Row rows[] = {
      {{ModeSetting::kAuto, LOCKHOST_MODE_DEDICATED, false}, true},
      {{ModeSetting::kAuto, LOCKHOST_MODE_DEDICATED, true}, false},
      {{ModeSetting::kAuto, LOCKHOST_MODE_OVERCOMMITTED, false}, false},
      {{ModeSetting::kAuto, LOCKHOST_MODE_UNSPECIFIED, false}, false},
      {{ModeSetting::kNative, LOCKHOST_MODE_OVERCOMMITTED, true}, true},
      {{ModeSetting::kParavirtual, LOCKHOST_MODE_DEDICATED, false}, false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(IsNative(row.view), row.native)
        << "setting " << static_cast<int>(row.view.setting) << ", advised " << row.view.advised
        << ", napped " << row.view.napped_lately;
  }
}

TEST(SettingsTest, OnlyWhatIsDocumentedIsUnderstood) {
  ModeSetting mode = ModeSetting::kAuto;
  EXPECT_TRUE(ParseMode(nullptr, &mode));
  EXPECT_TRUE(ParseMode("auto", &mode));
  EXPECT_EQ(mode, ModeSetting::kAuto);
  EXPECT_TRUE(ParseMode("native", &mode));
  EXPECT_EQ(mode, ModeSetting::kNative);
  EXPECT_TRUE(ParseMode("paravirtual", &mode));
  EXPECT_EQ(mode, ModeSetting::kParavirtual);
  for (const char* value : {"", "Native", "native ", "1"}) EXPECT_FALSE(ParseMode(value, &mode));
  bool use = true;
  EXPECT_TRUE(ParseHints("on", &use) && ParseHints(nullptr, &use) && use);
  EXPECT_TRUE(ParseHints("off", &use));
  EXPECT_FALSE(use);
  EXPECT_FALSE(ParseHints("no", &use));
}

TEST(LockWordTest, TagNamesTheVcpu) {
  for (uint32_t vcpu : {0u, 1u, 1023u, 0x7ffdu}) {
    EXPECT_TRUE(IsHeld(HolderTag(vcpu)));
    EXPECT_EQ(HolderName(HolderTag(vcpu)), vcpu);
  }
}

TEST(LockWordTest, TagOfAnUnknownVcpuStillHolds) {
  for (uint32_t vcpu : {0x7ffeu, 0x7fffu, 0xffffu, 0x10000u, LOCKHOST_UNKNOWN_VCPU}) {
    EXPECT_TRUE(IsHeld(HolderTag(vcpu)));
    EXPECT_EQ(HolderName(HolderTag(vcpu)), LOCKHOST_UNKNOWN_VCPU);
  }
}

TEST(LockWordTest, SleepersAloneDoNotHold) { EXPECT_FALSE(IsHeld(kSleepers | kHeir)); }

TEST(LockWordTest, AClaimIsDueAfterItsTimeAlsoWhereTheClockWraps) {
  constexpr uint64_t kUnitNs = uint64_t{1} << kClaimUnitShift;
  for (uint64_t start : {uint64_t{0}, 0x1ffeu * kUnitNs, uint64_t{1} << 60}) {
    const uint32_t word = WithOrphans(HolderTag(7), start);
    EXPECT_FALSE(ClaimIsDue(word, start)) << start;
    EXPECT_FALSE(ClaimIsDue(word, start + (kClaimEvery - 1) * kUnitNs)) << start;
    EXPECT_TRUE(ClaimIsDue(word, start + kClaimEvery * kUnitNs)) << start;
    EXPECT_TRUE(ClaimIsDue(word, start + 1'000 * kUnitNs)) << start;
  }
}

TEST(LockWordTest, AnUnlockLeavesTheSleepersAndSaysWhetherToKick) {
  const uint32_t tag = HolderTag(3);
  for (const uint32_t sleepers : {0u, kHeir | ClaimedAt(1 << 20), kOrphans | ClaimedAt(1 << 20)}) {
    uint32_t word = tag | sleepers;
    EXPECT_EQ(Release(&word), HasOrphans(sleepers));
    EXPECT_EQ(word, sleepers);
  }
}

TEST(LockWordTest, WhoTakesOrphansLeavesThemToTheOneThatIsBeingWoken) {
  const uint32_t tag = HolderTag(3);
  uint32_t word = kOrphans | ClaimedAt(1 << 20);
  EXPECT_TRUE(TryTakeFree(&word, tag));
  EXPECT_EQ(word, tag);
  word = kHeir | ClaimedAt(1 << 20);
  EXPECT_TRUE(TryTakeFree(&word, tag));
  EXPECT_EQ(word, tag | kHeir | ClaimedAt(1 << 20));
  EXPECT_FALSE(TryTakeFree(&word, tag));
}

TEST(LockWordTest, AFreeWordThatIsClaimedIsLeftAloneAndTheClaimEndsWhenItIsTaken) {
  for (const uint32_t claimed : {kClaimed, kClaimed | kHeir, kClaimed | kOrphans}) {
    uint32_t word = claimed;
    EXPECT_FALSE(TryTakeFree(&word, HolderTag(3)));
    EXPECT_EQ(word, claimed);
    EXPECT_FALSE(IsClaimed(LeftToTaker(claimed)));
    EXPECT_TRUE(IsClaimed(WithOrphans(claimed | HolderTag(3), 0)));
  }
}

TEST(LockWordTest, OnlyAWordOfZeroIsTakenNativelyAndAPlainStoreFreesIt) {
  lockhost_thread self = {};
  uint32_t word = 0, seen = 1, inner = 0;
  ASSERT_TRUE(TryTakeNatively(&word, self, &seen));
  EXPECT_TRUE(IsHeld(word) && IsHeldNatively(word) && !HasSleepers(word));
  EXPECT_EQ(HolderName(word), LOCKHOST_UNKNOWN_VCPU);
  EXPECT_FALSE(TryTakeNatively(&inner, self, &seen)) << "a thread remembers one";
  EXPECT_EQ(seen, 0u);
  EXPECT_FALSE(ReleaseNatively(&inner, self));
  EXPECT_TRUE(ReleaseNatively(&word, self));
  EXPECT_EQ(word, 0u);
  EXPECT_FALSE(ReleaseNatively(&word, self));
  for (const uint32_t taken : {HolderTag(3), kNativeHolder, kHeir, kOrphans | ClaimedAt(1 << 20)}) {
    word = taken;
    EXPECT_FALSE(TryTakeNatively(&word, self, &seen));
    EXPECT_EQ(seen, taken);
    EXPECT_EQ(word, taken);
  }
}

TEST(LockWordTest, AParavirtualReleaseOfANativeHolderFreesTheWordToo) {
  uint32_t word = kNativeHolder;
  EXPECT_FALSE(Release(&word));
  EXPECT_EQ(word, 0u);
}

TEST(LockWordTest, NoClaimIsDueWithoutSleepers) {
  EXPECT_FALSE(ClaimIsDue(HolderTag(7), uint64_t{1} << 40));
}

}  // namespace
}  // namespace lockhost::lock
