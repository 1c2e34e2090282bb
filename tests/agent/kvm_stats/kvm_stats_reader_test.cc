// SPDX-License-Identifier: Apache-2.0
#include "agent/kvm_stats/kvm_stats_reader.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "tests/agent/support/eventually.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {
namespace {

// A VMM in a process of its own that keeps its vCPU's statistics open, or does not.
class Vmm {
 public:
  explicit Vmm(bool keeps_stats) {
    int ready[2];
    if (pipe(ready) != 0) return;
    pid_ = fork();
    if (pid_ == 0) Run(ready[1], keeps_stats);
    close(ready[1]);
    if (read(ready[0], &tid_, sizeof(tid_)) != sizeof(tid_)) tid_ = 0;
    close(ready[0]);
  }
  ~Vmm() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  bool runs() const { return tid_ != 0; }
  pid_t pid() const { return pid_; }
  void Kick() const { syscall(SYS_tgkill, pid_, tid_, SIGUSR1); }

 private:
  [[noreturn]] static void Run(int ready, bool keeps_stats) {
    const auto vm = TinyVm::Create(1);
    if (!vm.ok()) _exit(1);
    const auto stats = keeps_stats ? (*vm)->OpenStats(0) : UniqueFd();
    if (!stats.ok()) _exit(1);
    const pid_t tid = (*vm)->tid((*vm)->StartThread(0));
    if (write(ready, &tid, sizeof(tid)) != sizeof(tid)) _exit(1);
    close(ready);
    for (;;) pause();
  }

  pid_t pid_ = -1;
  pid_t tid_ = 0;
};

std::optional<uint64_t> Sum(const KvmStatsReader& reader, std::string_view name) {
  const auto stats = reader.Read();
  if (!stats.ok()) return std::nullopt;
  const auto* const found = std::find(kKvmStatNames.begin(), kKvmStatNames.end(), name);
  return stats->sums[static_cast<size_t>(found - kKvmStatNames.begin())];
}

class KvmStatsReaderTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<KvmStatsReader>> Open(const Vmm& vmm) {
    const uint64_t start = procfs_->Stat(vmm.pid())->start_ticks;
    return KvmStatsReader::Open(*procfs_, {vmm.pid(), start}, counts_);
  }
  absl::StatusOr<Procfs> procfs_ = Procfs::Open();
  KvmStatsCounts counts_;
};

TEST_F(KvmStatsReaderTest, ValuesOfAnotherProcessGrow) {
  const Vmm vmm(true);
  if (!vmm.runs()) GTEST_SKIP() << "no KVM with statistics files here";
  const auto reader = Open(vmm);
  if (absl::IsPermissionDenied(reader.status())) GTEST_SKIP() << reader.status();
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(counts_.taken, 1u);
  const auto before = Sum(**reader, "exits");
  if (!before) GTEST_SKIP() << "this kernel does not count exits";
  EXPECT_TRUE(Eventually([&] { return Sum(**reader, "exits") > before; }));
}

TEST_F(KvmStatsReaderTest, ReadingKicksNoVcpu) {
  const Vmm vmm(true);
  if (!vmm.runs()) GTEST_SKIP() << "no KVM with statistics files here";
  const auto reader = Open(vmm);
  if (absl::IsPermissionDenied(reader.status())) GTEST_SKIP() << reader.status();
  ASSERT_TRUE(reader.ok()) << reader.status();
  const auto before = Sum(**reader, "signal_exits");
  if (!before) GTEST_SKIP() << "this kernel does not count signal exits";
  for (int i = 0; i < 100; ++i) ASSERT_TRUE((*reader)->Read().ok());
  EXPECT_EQ(Sum(**reader, "signal_exits"), before);
  // That a kick would have been seen:
  EXPECT_TRUE(Eventually([&] {
    vmm.Kick();
    return Sum(**reader, "signal_exits") > before;
  }));
}

TEST_F(KvmStatsReaderTest, SaysThatTheVmmKeepsNoneOpen) {
  const Vmm vmm(false);
  if (!vmm.runs()) GTEST_SKIP() << "no KVM here";
  EXPECT_TRUE(absl::IsNotFound(Open(vmm).status()));
  EXPECT_EQ(counts_.taken, 0u);
}

TEST_F(KvmStatsReaderTest, RefusesAPidThatWasReused) {
  const uint64_t start = procfs_->Stat(getpid())->start_ticks;
  const auto reader = KvmStatsReader::Open(*procfs_, {getpid(), start + 1}, counts_);
  EXPECT_TRUE(absl::IsNotFound(reader.status())) << reader.status();
}

TEST(VcpuStatsLinkTest, KnowsStatisticsOfVcpusAlone) {
  EXPECT_EQ(ParseVcpuStatsLink("anon_inode:kvm-vcpu-stats:5"), 5u);
  for (const char* target : {"", "anon_inode:kvm-vcpu:5", "anon_inode:kvm-vm-stats",
                             "anon_inode:kvm-vcpu-stats:", "/anon_inode:kvm-vcpu-stats:1",
                             "anon_inode:kvm-vcpu-stats:4294967296"}) {
    EXPECT_FALSE(ParseVcpuStatsLink(target).has_value()) << target;
  }
}

}  // namespace
}  // namespace lockhost::agent
