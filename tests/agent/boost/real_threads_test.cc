// SPDX-License-Identifier: Apache-2.0

// What boosting does to threads of this host: everything it changes it gives back.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "agent/boost/ledger.h"
#include "agent/boost/repayment.h"
#include "agent/boost/thread_control.h"
#include "agent/boost/undo_helper.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/temp_dir.h"

namespace lockhost::agent {
namespace {

bool MayBeRealTime() {
  const auto chosen = ChooseMechanism("fifo");
  return chosen.ok() && chosen->mechanism == BoostMechanism::kFifo;
}
#define SKIP_UNLESS_REAL_TIME() \
  if (!MayBeRealTime()) GTEST_SKIP() << "this process may not make threads real time"

// Computes in a process of its own until the end of the test.
class Spinner {
 public:
  // Less nice than others, to be told from a default.
  Spinner() : pid_(fork()) {
    if (pid_ != 0) {
      setpriority(PRIO_PROCESS, static_cast<id_t>(pid_), 5);
    } else {
      for (;;) std::atomic_signal_fence(std::memory_order_seq_cst);
    }
  }
  ~Spinner() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  SchedAttributes scheduling() const { return *GetScheduling(pid_); }

 private:
  pid_t pid_;
};

class RealThreadsTest : public testing::Test {
 protected:
  Spinner spinner_;
  const SchedAttributes before_ = spinner_.scheduling();
  const Procfs procfs_ = *Procfs::Open();
  Ledger ledger_ = *Ledger::Open("");
};

TEST_F(RealThreadsTest, EachMechanismIsUndoneExactly) {
  SKIP_UNLESS_REAL_TIME();
  for (const BoostMechanism mechanism : {BoostMechanism::kFifo, BoostMechanism::kNice}) {
    ThreadControl control(mechanism, &ledger_, &procfs_);
    ASSERT_TRUE(control.Boost(spinner_.pid(), spinner_.pid()).ok());
    EXPECT_NE(spinner_.scheduling(), before_) << NameOf(mechanism);
    control.EndBoost(spinner_.pid());
    EXPECT_EQ(spinner_.scheduling(), before_) << NameOf(mechanism);
  }
}

TEST_F(RealThreadsTest, ChildrenOfABoostedThreadAreOrdinary) {
  SKIP_UNLESS_REAL_TIME();
  ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
  const auto tid = static_cast<pid_t>(syscall(SYS_gettid));
  ASSERT_TRUE(control.Boost(getpid(), tid).ok());
  int policy = -1;
  std::thread([&] { policy = sched_getscheduler(0); }).join();
  control.EndBoost(tid);
  EXPECT_EQ(policy, SCHED_OTHER);
}

// Does so in a thread that has the first CPU, as the booster may have that of whom it boosts,
// while the spinner waits for it there.
template <typename Work>
void InThePlaceOf(pid_t spinner, Work work) {
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  ASSERT_EQ(sched_setaffinity(spinner, sizeof(first), &first), 0);
  std::thread([&] {
    BindToCpu(0);
    SchedAttributes urgent = *GetScheduling(0);
    urgent.policy = SCHED_FIFO;
    urgent.priority = kBoosterPriority;
    ASSERT_TRUE(SetScheduling(0, urgent).ok());
    work();
  }).join();
}

TEST_F(RealThreadsTest, OfTwoOnOneCpuTheBoosterIsMoved) {
  SKIP_UNLESS_REAL_TIME();
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) GTEST_SKIP() << "one CPU alone";
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
  InThePlaceOf(spinner_.pid(), [&] {
    sched_setaffinity(spinner_.pid(), sizeof(all), &all);
    BindToCpu(-1);
    ASSERT_EQ(sched_getcpu(), 0);
    EXPECT_TRUE(control.Boost(spinner_.pid(), spinner_.pid()).ok());
    EXPECT_NE(sched_getcpu(), 0);
    EXPECT_EQ(spinner_.scheduling().priority, kBoostedPriority);
  });
  control.EndBoost(spinner_.pid());
  EXPECT_EQ(spinner_.scheduling(), before_);
}

TEST_F(RealThreadsTest, ABoosterWithOneCpuKeepsIt) {
  SKIP_UNLESS_REAL_TIME();
  ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
  InThePlaceOf(spinner_.pid(), [&] {
    const auto before = std::chrono::steady_clock::now();
    EXPECT_TRUE(control.Boost(spinner_.pid(), spinner_.pid()).ok());
    control.EndBoost(spinner_.pid());
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(20))
        << "it waited for whom it boosts";
  });
  EXPECT_EQ(spinner_.scheduling(), before_);
}

TEST_F(RealThreadsTest, ARealTimeThreadIsLeftAlone) {
  SKIP_UNLESS_REAL_TIME();
  const sched_param param{.sched_priority = 1};
  ASSERT_EQ(sched_setscheduler(spinner_.pid(), SCHED_RR, &param), 0);
  ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
  EXPECT_TRUE(absl::IsFailedPrecondition(control.Boost(spinner_.pid(), spinner_.pid())));
}

TEST_F(RealThreadsTest, AThreadThatHasEndedIsAnError) {
  ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
  EXPECT_FALSE(control.Boost(1 << 30, 1 << 30).ok());
}

// The process is another one, as it is when a tid was used again.
TEST_F(RealThreadsTest, WhoGotATidAgainIsNotTouched) {
  SKIP_UNLESS_REAL_TIME();
  ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
  ASSERT_TRUE(control.Boost(getpid(), spinner_.pid()).ok());
  control.EndBoost(spinner_.pid());
  EXPECT_EQ(spinner_.scheduling().policy, uint32_t{SCHED_FIFO});
  EXPECT_FALSE(control.IsBoosted(spinner_.pid()));
}

TEST_F(RealThreadsTest, HeldBackWhileBoostedComesBackHeldBack) {
  SKIP_UNLESS_REAL_TIME();
  ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
  ASSERT_TRUE(control.HoldBack(spinner_.pid(), spinner_.pid()).ok());
  EXPECT_EQ(spinner_.scheduling().nice, 8);
  EXPECT_NEAR(control.WeightRatio(spinner_.pid()), 0.512, 0.001);
  ASSERT_TRUE(control.Boost(spinner_.pid(), spinner_.pid()).ok());
  EXPECT_EQ(spinner_.scheduling().policy, uint32_t{SCHED_FIFO});
  control.EndBoost(spinner_.pid());
  EXPECT_EQ(spinner_.scheduling().nice, 8);
  control.EndHoldBack(spinner_.pid());
  EXPECT_EQ(spinner_.scheduling(), before_);
}

TEST_F(RealThreadsTest, TheLedgerUndoesWhatACrashLeft) {
  SKIP_UNLESS_REAL_TIME();
  const TempDir directory;
  const std::string path = directory.path() + "/boosts";
  if (const pid_t agent = fork(); agent == 0) {
    auto ledger = *Ledger::Open(path);
    ThreadControl control(BoostMechanism::kFifo, &ledger, &procfs_);
    if (!control.Boost(spinner_.pid(), spinner_.pid()).ok()) _exit(1);
    control.CatchUp();
    kill(getpid(), SIGKILL);
  } else {
    waitpid(agent, nullptr, 0);
  }
  ASSERT_EQ(spinner_.scheduling().policy, uint32_t{SCHED_FIFO});
  auto ledger = *Ledger::Open(path);
  EXPECT_EQ(ledger.Undo(procfs_), 1);
  EXPECT_EQ(spinner_.scheduling(), before_);
  EXPECT_EQ(ledger.Undo(procfs_), 0) << "once";
}

TEST_F(RealThreadsTest, AStrangerWithTheSameTidIsNotTouched) {
  ledger_.Enter({.start_ticks = 1,
                 .tid = spinner_.pid(),
                 .tgid = spinner_.pid(),
                 .ordinary = {.policy = SCHED_BATCH}});
  EXPECT_EQ(ledger_.Undo(procfs_), 0);
  EXPECT_EQ(spinner_.scheduling(), before_);
}

TEST_F(RealThreadsTest, AFileThatIsNoLedgerIsRefused) {
  const TempDir directory;
  std::ofstream(directory.path() + "/boosts") << "something else";
  EXPECT_TRUE(absl::IsInvalidArgument(Ledger::Open(directory.path() + "/boosts").status()));
  EXPECT_FALSE(Ledger::Open(directory.path()).ok());
}

// As the agent at work: real time, and killed while a thread is boosted.
TEST_F(RealThreadsTest, TheHelperUndoesWhatAKilledAgentLeaves) {
  SKIP_UNLESS_REAL_TIME();
  for (int i = 0; i < 20; ++i) {
    const pid_t agent = fork();
    if (agent == 0) {
      auto helper = UndoHelper::Start(&ledger_, &procfs_);
      ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
      if (!helper.ok() || !control.Boost(spinner_.pid(), spinner_.pid()).ok()) _exit(1);
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    waitpid(agent, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_TRUE(Eventually([&] { return spinner_.scheduling() == before_; }));
  }
}

TEST(MadeUpTest, IsWhatTheNeighboursGot) {
  // Half of a CPU is due; with half the weight a third was had. The gain of boosted time is
  // what is not due anyhow.
  EXPECT_NEAR(MadeUpNs(333.3, 1000, 0.5), (500 - 333.3) / 0.5, 1);
  EXPECT_EQ(MadeUpNs(1000, 1000, 0.5), 1000) << "alone: nothing was taken from anybody";
  EXPECT_EQ(MadeUpNs(0, 0, 0.5), 0) << "asleep";
  EXPECT_NEAR(MadeUpNs(500, 1000, 1), 0, 1e-9) << "not held back";
}

TEST(OwedAfterTest, KeepsWhatWasMadeUpForBeyondTheDebt) {
  const double made_up = MadeUpNs(333, 1000, 0.5);
  EXPECT_NEAR(OwedAfterNs(1000, 333, 667, 0.5), 1000 - made_up, 1e-9);
  EXPECT_NEAR(OwedAfterNs(100, 333, 667, 0.5), 100 - made_up, 1e-9) << "a credit";
  EXPECT_EQ(OwedAfterNs(100, 1000, 0, 0.5), 0) << "alone: settled, and no credit";
  EXPECT_EQ(OwedAfterNs(100, 0, 0, 0.5), 100) << "asleep";
}

TEST_F(RealThreadsTest, DebtsAreCollectedAndTheThreadRestored) {
  SKIP_UNLESS_REAL_TIME();
  ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
  Repayment repayment(&control, &procfs_);
  uint64_t now = 1;
  repayment.Charge(0, spinner_.pid(), spinner_.pid(), 500'000, now);
  EXPECT_EQ(repayment.Look(now), UINT64_MAX) << "too little to bother";
  repayment.Charge(0, spinner_.pid(), spinner_.pid(), 4'500'000, now);
  EXPECT_EQ(repayment.OwedNs(0), 5'000'000u);
  bool held_back = false;
  ASSERT_TRUE(Eventually([&] {
    const uint64_t next = repayment.Look(now);
    held_back |= spinner_.scheduling().nice == 8;
    if (next != UINT64_MAX) now = next;
    poll(nullptr, 0, 20);
    return next == UINT64_MAX;
  }));
  EXPECT_TRUE(held_back);
  EXPECT_EQ(spinner_.scheduling(), before_);
  EXPECT_EQ(repayment.OwedNs(0), 0u);
}

TEST_F(RealThreadsTest, TheDebtsOfAVmGoWithIt) {
  SKIP_UNLESS_REAL_TIME();
  ThreadControl control(BoostMechanism::kFifo, &ledger_, &procfs_);
  Repayment repayment(&control, &procfs_);
  repayment.Charge(0, spinner_.pid(), spinner_.pid(), 50'000'000, 1);
  repayment.Look(100'000'000);
  EXPECT_EQ(spinner_.scheduling().nice, 8);
  repayment.Forget(0);
  EXPECT_EQ(spinner_.scheduling(), before_);
}

TEST(ChooseMechanismTest, NamesWhatItCannotDo) {
  EXPECT_TRUE(absl::IsInvalidArgument(ChooseMechanism("magic").status()));
  EXPECT_EQ(ChooseMechanism("none")->mechanism, BoostMechanism::kNone);
}

}  // namespace
}  // namespace lockhost::agent
