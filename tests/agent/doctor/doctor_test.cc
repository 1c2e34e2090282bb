// SPDX-License-Identifier: Apache-2.0
#include <bpf/btf.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "agent/doctor/host_checks.h"
#include "agent/doctor/host_facts.h"
#include "agent/doctor/kernel_config.h"
#include "agent/doctor/proc_facts.h"
#include "agent/doctor/switch_signature.h"
#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/temp_dir.h"

namespace lockhost::doctor {
namespace {

using agent::TempDir;
namespace fs = std::filesystem;

void Write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

TEST(ProcFactsTest, CapabilitiesAreTheEffectiveOnes) {
  EXPECT_EQ(ParseCapabilities("CapPrm:\tff\nCapEff:\t000000c000080004\nCapBnd:\t1\n"),
            0xc000080004u);
  EXPECT_FALSE(ParseCapabilities("CapEff:\tnot hex\n"));
  EXPECT_FALSE(ParseCapabilities(""));
}

TEST(ProcFactsTest, LockdownIsTheModeInBrackets) {
  EXPECT_EQ(ParseLockdown("none [integrity] confidentiality"), "integrity");
  EXPECT_EQ(ParseLockdown("[none] integrity confidentiality"), "none");
  EXPECT_EQ(ParseLockdown("]["), "");
  EXPECT_EQ(ParseLockdown(""), "");
}

TEST(ProcFactsTest, TheLastMountAtAPlaceCounts) {
  const std::string mounts =
      "proc /proc proc rw 0 0\nproc /proc proc rw,hidepid=invisible 0 0\n"
      "proc /chroot/proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\nshort line\n";
  EXPECT_EQ(ParseHidepid(FindMount(mounts, "proc", "/proc").value_or("")), "invisible");
  EXPECT_TRUE(FindMount(mounts, "bpf", "/sys/fs/bpf"));
  EXPECT_FALSE(FindMount(mounts, "bpf", "/sys"));
  EXPECT_FALSE(FindMount(mounts, "debugfs", "/sys/fs/bpf"));
  EXPECT_EQ(ParseHidepid("rw,relatime"), "");
}

TEST(ProcFactsTest, CpuListsAreCounted) {
  EXPECT_EQ(CountCpus("0-3,8\n"), 5u);
  EXPECT_EQ(CountCpus("0"), 1u);
  for (const char* bad : {"", "3-1", "0-", "a", "1-2-3", "0-4294967295"}) {
    EXPECT_EQ(CountCpus(bad), 0u) << bad;
  }
}

TEST(KernelConfigTest, BuiltInAndModulesAreEnabled) {
  const KernelConfig config = ParseKernelConfig(
      "CONFIG_KVM=m\nCONFIG_BPF_SYSCALL=y\n# CONFIG_X is not set\nCONFIG_HZ=250\nCONFIG_N=n\n");
  EXPECT_TRUE(config.Has("CONFIG_KVM"));
  EXPECT_TRUE(config.Has("CONFIG_BPF_SYSCALL"));
  EXPECT_FALSE(config.Has("CONFIG_X"));
  EXPECT_FALSE(config.Has("CONFIG_HZ"));
  EXPECT_FALSE(config.Has("CONFIG_N"));
}

TEST(KernelConfigTest, IsReadFromProcElseFromBoot) {
  const TempDir tree;
  const Roots roots{.procfs = tree.path() + "/proc", .boot = tree.path() + "/boot"};
  EXPECT_FALSE(ReadKernelConfig(roots, "6.1.0"));
  Write(roots.boot + "/config-6.1.0", "CONFIG_FROM_BOOT=y\n");
  EXPECT_TRUE(ReadKernelConfig(roots, "6.1.0")->Has("CONFIG_FROM_BOOT"));
  fs::create_directories(roots.procfs);
  gzFile file = gzopen((roots.procfs + "/config.gz").c_str(), "w");
  gzputs(file, "CONFIG_FROM_PROC=y\n");
  gzclose(file);
  EXPECT_TRUE(ReadKernelConfig(roots, "6.1.0")->Has("CONFIG_FROM_PROC"));
}

// Type information of a sched_switch whose arguments are pointers and ints as `kinds`
// says ('p', 'i'), after the tracepoint's own.
void WriteSwitch(const std::string& directory, const std::string& kinds) {
  struct BtfFree {
    void operator()(btf* types) const { btf__free(types); }
  };
  const std::unique_ptr<btf, BtfFree> types(btf__new_empty());
  const int number = btf__add_int(types.get(), "unsigned int", 4, 0);
  const int pointer = btf__add_ptr(types.get(), 0);
  const int function = btf__add_func_proto(types.get(), 0);
  btf__add_func_param(types.get(), "__data", pointer);
  for (const char kind : kinds) {
    btf__add_func_param(types.get(), "x", kind == 'p' ? pointer : number);
  }
  btf__add_typedef(types.get(), "btf_trace_sched_switch", btf__add_ptr(types.get(), function));
  uint32_t size = 0;
  const void* data = btf__raw_data(types.get(), &size);
  Write(directory + "/vmlinux", std::string(static_cast<const char*>(data), size));
}

TEST(SwitchSignatureTest, IsToldByTypeInformation) {
  const TempDir tree;
  EXPECT_TRUE(absl::IsNotFound(CheckSwitchSignature(tree.path())));
  WriteSwitch(tree.path(), "ippi");  // 6.0
  EXPECT_TRUE(CheckSwitchSignature(tree.path()).ok());
  WriteSwitch(tree.path(), "iipp");  // 5.18
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckSwitchSignature(tree.path())));
  WriteSwitch(tree.path(), "ipp");  // 5.17
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckSwitchSignature(tree.path())));
}

class CapturedTreeTest : public testing::Test {
 protected:
  CapturedTreeTest() {
    roots_ = {.procfs = tree_.path() + "/proc",
              .sysfs = tree_.path() + "/sys",
              .dev = tree_.path() + "/dev",
              .boot = tree_.path() + "/boot"};
    Write(roots_.procfs + "/sys/kernel/osrelease", "6.1.0-9\n");
    Write(roots_.procfs + "/sys/kernel/unprivileged_bpf_disabled", "0\n");
    Write(roots_.procfs + "/sys/kernel/sched_rt_runtime_us", "-1\n");
    Write(roots_.procfs + "/self/status", "CapEff:\t0000000000080000\n");
    Write(roots_.procfs + "/self/schedstat", "120 30 2\n");
    Write(roots_.procfs + "/self/mounts", "proc /proc proc rw,hidepid=2 0 0\n");
    Link("pid:[4026532500]", roots_.procfs + "/self/ns/pid");
    Write(roots_.sysfs + "/kernel/security/lockdown", "none integrity [confidentiality]\n");
    Write(roots_.sysfs + "/devices/system/cpu/online", "0-3\n");
    Write(roots_.sysfs + "/module/kvm_amd/refcnt", "1\n");
    Write(roots_.dev + "/kvm", "");
  }

  void Link(const std::string& target, const std::string& path) {
    fs::create_directories(fs::path(path).parent_path());
    fs::create_symlink(target, path);
  }

  // A QEMU with two vCPUs.
  void AddQemu(int pid, bool with_stats, const std::string& thread_name) {
    const std::string process = roots_.procfs + "/" + std::to_string(pid);
    Write(process + "/comm", "qemu-system-x86\n");
    Write(
        process + "/stat",
        std::to_string(pid) + " (qemu-system-x86) S 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 777 0\n");
    Link("anon_inode:kvm-vcpu:0", process + "/fd/10");
    Link("anon_inode:kvm-vcpu:1", process + "/fd/11");
    if (with_stats) Link("anon_inode:kvm-vcpu-stats:0", process + "/fd/12");
    Write(process + "/task/" + std::to_string(pid) + "/comm", "qemu-system-x86\n");
    Write(process + "/task/" + std::to_string(pid + 1) + "/comm", thread_name + "\n");
  }

  TempDir tree_;
  Roots roots_;
};

TEST_F(CapturedTreeTest, KernelFacts) {
  const KernelFacts facts = ReadKernelFacts(roots_);
  EXPECT_EQ(facts.release, "6.1.0-9");
  EXPECT_FALSE(facts.has_btf);
  EXPECT_FALSE(facts.kvm_types.ok());
  EXPECT_EQ(facts.kvm_device, Access::kUsable);
  EXPECT_EQ(facts.kvm_modules, std::vector<std::string>{"kvm_amd"});
  EXPECT_EQ(facts.lockdown, "confidentiality");
  EXPECT_TRUE(facts.counts_run_delay);
  EXPECT_EQ(facts.online_cpus, 4u);
  EXPECT_EQ(facts.rt_runtime_us, -1);
  EXPECT_FALSE(facts.rt_period_us);
  EXPECT_FALSE(facts.config);
}

TEST_F(CapturedTreeTest, SchedulingStatisticsThatStandStillAreNone) {
  Write(roots_.procfs + "/self/schedstat", "0 0 0\n");
  EXPECT_FALSE(ReadKernelFacts(roots_).counts_run_delay);
}

TEST_F(CapturedTreeTest, PrivilegeFacts) {
  const PrivilegeFacts facts = ReadPrivilegeFacts(roots_, "/sys/fs/bpf/lockhost");
  EXPECT_EQ(facts.capabilities, 1u << kCapSysPtrace);
  EXPECT_EQ(facts.unprivileged_bpf_disabled, 0);
  EXPECT_FALSE(facts.perf_event_paranoid);
  EXPECT_FALSE(facts.initial_pid_namespace);
  EXPECT_EQ(facts.hidepid, "2");
  EXPECT_FALSE(facts.has_bpffs);
}

TEST_F(CapturedTreeTest, QemusAreToldByTheirDescriptorsAndThreads) {
  AddQemu(100, true, "CPU 0/KVM");
  AddQemu(200, false, "qemu-system-x86");
  auto qemus = FindQemus(roots_);
  ASSERT_EQ(qemus.size(), 2u);
  if (qemus[0].pid != 100) std::swap(qemus[0], qemus[1]);
  EXPECT_TRUE(qemus[0].fds_readable);
  EXPECT_EQ(qemus[0].vcpu_fds, 2u);
  EXPECT_EQ(qemus[0].stats_fds, 1u);
  EXPECT_EQ(qemus[0].named_threads, 1u);
  EXPECT_EQ(qemus[1].stats_fds, 0u);
  EXPECT_EQ(qemus[1].named_threads, 0u);
  EXPECT_EQ(CountVcpuFds(roots_), 4u);
}

TEST(AskAgentTest, AnAbsentAgentIsNotReached) {
  const TempDir directory;
  const AgentFacts facts =
      AskAgent(Roots{}, directory.path() + "/agent.sock", std::chrono::milliseconds(100));
  EXPECT_FALSE(facts.reached.ok());
  EXPECT_EQ(facts.source, "");
}

TEST(AskAgentTest, ARunningAgentTellsTheLoad) {
  if (geteuid() != 0) GTEST_SKIP() << "the agent answers root alone";
  const auto runner = agent::AgentRunner::Start({.source = "procfs"});
  ASSERT_TRUE(runner.ok()) << runner.status();
  const std::jthread busy([](const std::stop_token& stop) {
    while (!stop.stop_requested()) continue;
  });
  AgentFacts facts;
  const bool told = agent::Eventually([&] {
    facts = AskAgent(Roots{}, (*runner)->socket(), std::chrono::seconds(5));
    return facts.load && facts.load->overcommit > 0;
  });
  ASSERT_TRUE(told) << facts.reached << facts.answer;
  EXPECT_TRUE(facts.answer.ok()) << facts.answer;
  EXPECT_EQ(facts.source, "procfs");
  EXPECT_EQ(facts.pid, getpid());
  EXPECT_GE(facts.load->steal_ratio, 0);
  EXPECT_LE(facts.load->steal_ratio, 1);
  ASSERT_TRUE(facts.boosts);
  EXPECT_EQ(facts.boosts->mechanism, "none") << "this source does not see lock holders";
}

TEST(TryBpfTest, AgreesWithTheKernel) {
  if (geteuid() != 0) GTEST_SKIP() << "loading BPF needs root";
  const absl::Status tried = TryBpf(Roots{});
  if (!tried.ok()) GTEST_SKIP() << "no BPF here: " << tried;
  // The same kernel without its type information, as TryBpf() is told.
  const TempDir tree;
  EXPECT_FALSE(TryBpf(Roots{.sysfs = tree.path()}).ok());
}

TEST(BpfWorksTest, IsWhatTheAgentOrTheAttemptSays) {
  HostFacts facts;
  EXPECT_FALSE(BpfWorks(facts));
  facts.agent.source = "procfs";
  EXPECT_FALSE(BpfWorks(facts));
  facts.agent.source = "bpf";
  EXPECT_TRUE(BpfWorks(facts));
  facts.agent.source.clear();
  facts.bpf_attempt = absl::PermissionDeniedError("no");
  EXPECT_FALSE(BpfWorks(facts));
  facts.bpf_attempt = absl::OkStatus();
  EXPECT_TRUE(BpfWorks(facts));
}

}  // namespace
}  // namespace lockhost::doctor
