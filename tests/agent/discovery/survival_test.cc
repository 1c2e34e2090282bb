// SPDX-License-Identifier: Apache-2.0

// Discovery by /proc while real processes and real VMs change under it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "agent/discovery/dump.h"
#include "agent/discovery/vcpu_finder.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/temp_dir.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

class SurvivalTest : public testing::Test {
 protected:
  ProcessId Identify(pid_t pid) const { return {pid, procfs_.Stat(pid)->start_ticks}; }
  // Looks at everything anew, as a finder does that has just started.
  bool IsSighted(const ProcessId& process) const {
    VcpuFinder fresh(&procfs_, "/sys", MonotonicClock());
    for (const VmSighting& each : fresh.Scan()) {
      if (each.process == process) return true;
    }
    return false;
  }

  const Procfs procfs_ = *Procfs::Open();
  VcpuFinder finder_{&procfs_, "/sys", MonotonicClock()};
};

// A process that calls itself a vCPU; with the given pid, if it is not 0. Killed at the end.
class NamedProcess {
 public:
  explicit NamedProcess(pid_t wanted = 0) {
    clone_args arguments{};
    arguments.exit_signal = SIGCHLD;
    if (wanted != 0) {
      arguments.set_tid = reinterpret_cast<uintptr_t>(&wanted);
      arguments.set_tid_size = 1;
    }
    pid_ = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Goes on as another program as soon as it is told to.
    sigset_t told;
    sigemptyset(&told);
    sigaddset(&told, SIGUSR1);
    sigprocmask(SIG_BLOCK, &told, nullptr);
    prctl(PR_SET_NAME, "lab-vcpu 0");
    siginfo_t ignored;
    sigwaitinfo(&told, &ignored);
    execl("/bin/sleep", "sleep", "1000", nullptr);
    _exit(127);
  }
  ~NamedProcess() { End(); }
  NamedProcess(const NamedProcess&) = delete;
  NamedProcess& operator=(const NamedProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Exec() const { kill(pid_, SIGUSR1); }
  void End() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_;
};

TEST_F(SurvivalTest, AProcessThatExecutesSomethingElseIsNoLongerAVm) {
  const NamedProcess child;
  ASSERT_GT(child.pid(), 0);
  const ProcessId process = Identify(child.pid());
  ASSERT_TRUE(Eventually([&] { return IsSighted(process); }));
  EXPECT_THAT(finder_.Threads(process), ElementsAre(VcpuThread{0, child.pid()}));
  child.Exec();
  EXPECT_TRUE(Eventually([&] { return finder_.Threads(process).empty(); }));
  EXPECT_FALSE(IsSighted(process));
  EXPECT_EQ(Identify(child.pid()), process) << "the same process, as far as its start tells";
}

TEST_F(SurvivalTest, AProcessThatGotAVmsPidIsAnotherOne) {
  NamedProcess first;
  ASSERT_GT(first.pid(), 0);
  const pid_t pid = first.pid();
  const ProcessId before = Identify(pid);
  ASSERT_TRUE(Eventually([&] { return finder_.Threads(before).size() == 1; }));
  finder_.Scan();
  // Start times are told in ticks: only a later tick can be told from this one.
  ASSERT_TRUE(Eventually([&] {
    const NamedProcess other;
    return Identify(other.pid()).start_ticks > before.start_ticks;
  }));
  first.End();
  const NamedProcess second(pid);
  if (second.pid() < 0) GTEST_SKIP() << "may not choose a pid (CAP_CHECKPOINT_RESTORE)";
  ASSERT_EQ(second.pid(), pid);
  const ProcessId after = Identify(pid);
  ASSERT_TRUE(Eventually([&] { return finder_.Threads(after).size() == 1; }));
  EXPECT_TRUE(finder_.Threads(before).empty());
  EXPECT_THAT(finder_.Scan(), Contains(Field(&VmSighting::process, after)));
}

TEST_F(SurvivalTest, AHotPluggedVcpuIsFoundAtTheNextLook) {
  auto vm = TinyVm::Create(2);
  if (!vm.ok()) GTEST_SKIP() << vm.status().message();
  const int first = (*vm)->StartThread(0);
  const ProcessId self = Identify(getpid());
  EXPECT_THAT(finder_.Threads(self), ElementsAre(VcpuThread{0, (*vm)->tid(first)}));
  const int second = (*vm)->StartThread(1);
  EXPECT_THAT(finder_.Threads(self),
              ElementsAre(VcpuThread{0, (*vm)->tid(first)}, VcpuThread{1, (*vm)->tid(second)}));
}

// A debugfs of the test's own, in a mount namespace of its own.
class RealDebugfsTest : public SurvivalTest {
 protected:
  void SetUp() override {
    if (!procfs_.ShowsInitialPidNamespace()) GTEST_SKIP() << "not in the host's pid namespace";
    const std::string target = directory_.path() + "/kernel/debug";
    std::filesystem::create_directories(target);
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("debugfs", target.c_str(), "debugfs", 0, nullptr) != 0) {
      GTEST_SKIP() << "cannot mount debugfs";
    }
    mounted_ = target;
  }
  void TearDown() override {
    if (!mounted_.empty()) umount2(mounted_.c_str(), MNT_DETACH);
  }
  static void Rename(TinyVm& vm, int thread) {
    vm.Do(thread, [] { prctl(PR_SET_NAME, "nobody-knows"); });
  }

  TempDir directory_;
  std::string mounted_;
};

TEST_F(RealDebugfsTest, TellsTheVcpusOfARealVmWithoutTellingNames) {
  auto vm = TinyVm::Create(2);
  if (!vm.ok()) GTEST_SKIP() << vm.status().message();
  const int first = (*vm)->StartThread(0);
  const int second = (*vm)->StartThread(1);
  Rename(**vm, first);
  Rename(**vm, second);
  const ProcessId self = Identify(getpid());
  VcpuFinder finder(&procfs_, directory_.path(), MonotonicClock());
  EXPECT_TRUE(Eventually([&] {
    finder.Scan();
    return finder.Threads(self).size() == 2;
  }));
  EXPECT_THAT(finder.Threads(self),
              ElementsAre(VcpuThread{0, (*vm)->tid(first)}, VcpuThread{1, (*vm)->tid(second)}));
  EXPECT_EQ(finder.nameless(), 0u);
  const auto dump = DumpVms("/proc", directory_.path());
  ASSERT_TRUE(dump.ok()) << dump.status();
  EXPECT_THAT(*dump, HasSubstr("accelerator  kvm (fd)"));
  EXPECT_THAT(*dump, HasSubstr("tid " + std::to_string((*vm)->tid(second)) + " (debugfs)"));
}

TEST_F(RealDebugfsTest, CountsAProcessWithTwoRealVms) {
  auto one = TinyVm::Create(1);
  if (!one.ok()) GTEST_SKIP() << one.status().message();
  auto other = TinyVm::Create(1);
  ASSERT_TRUE(other.ok()) << other.status();
  Rename(**one, (*one)->StartThread(0));
  Rename(**other, (*other)->StartThread(0));
  VcpuFinder finder(&procfs_, directory_.path(), MonotonicClock());
  finder.Scan();
  EXPECT_GE(finder.several_vms(), 1u);
  EXPECT_TRUE(Eventually([&] { return finder.Threads(Identify(getpid())).empty(); }))
      << "which of them is vCPU 0 nobody can say";
}

}  // namespace
}  // namespace lockhost::agent
