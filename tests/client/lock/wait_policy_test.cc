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
    EXPECT_EQ(Advise({row.state, row.prompt, row.on_my_vcpu, false, false, row.stalled_ns}),
              row.expected)
        << "state " << row.state << ", prompt " << row.prompt << ", on my vCPU " << row.on_my_vcpu
        << ", stalled " << row.stalled_ns << " ns";
  }
}

TEST(WaitPolicyTest, AVcpuThatRunsDoesNotMakeTheHolderOfAMutexRun) {
  EXPECT_EQ(Advise({LOCKHOST_RUN_STATE_RUNNING, true, false, true, false, kBlindSpinNs}),
            Advice::kPark);
  EXPECT_EQ(Advise({LOCKHOST_RUN_STATE_RUNNING, true, false, true, false, 0}), Advice::kSpin);
  EXPECT_EQ(Advise({LOCKHOST_RUN_STATE_PREEMPTED, true, false, true, false, 0}), Advice::kPark);
}

TEST(WaitPolicyTest, ANativeHolderIsTakenToRunButNotForEver) {
  WaitView view = {LOCKHOST_RUN_STATE_UNSPECIFIED, false, false, false, true, kBlindSpinNs};
  EXPECT_EQ(Advise(view), Advice::kSpin);
  view.stalled_ns = kRunningSpinNs;
  EXPECT_EQ(Advise(view), Advice::kPark);
  view = {LOCKHOST_RUN_STATE_UNSPECIFIED, false, false, true, true, kBlindSpinNs};
  EXPECT_EQ(Advise(view), Advice::kPark) << "of a mutex it may sleep";
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
    EXPECT_EQ(HolderVcpu(HolderTag(vcpu)), vcpu);
  }
}

TEST(LockWordTest, TagOfAnUnknownVcpuStillHolds) {
  for (uint32_t vcpu : {0x7ffeu, 0x7fffu, 0xffffu, 0x10000u, LOCKHOST_UNKNOWN_VCPU}) {
    EXPECT_TRUE(IsHeld(HolderTag(vcpu)));
    EXPECT_EQ(HolderVcpu(HolderTag(vcpu)), LOCKHOST_UNKNOWN_VCPU);
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
  EXPECT_EQ(HolderVcpu(word), LOCKHOST_UNKNOWN_VCPU);
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
