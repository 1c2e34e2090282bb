// SPDX-License-Identifier: Apache-2.0

// Discovery by /proc on real threads, under a clock that the tests move.
#include "agent/discovery/vcpu_finder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "tests/agent/support/fake_tree.h"
#include "tests/agent/support/spinner.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t fake_now_ns = 0;

class VcpuFinderTest : public testing::Test {
 protected:
  void SetUp() override { fake_now_ns = kSecond; }

  // Of one scan: this process's sighting.
  std::optional<VmSighting> Sighting() {
    for (const VmSighting& each : finder_.Scan()) {
      if (each.process.pid == getpid()) return each;
    }
    return std::nullopt;
  }

  Procfs procfs_ = *Procfs::Open();
  const ProcessId self_{getpid(), procfs_.Stat(getpid())->start_ticks};
  VcpuFinder finder_{&procfs_, "/sys", Clock{[] { return fake_now_ns; }}};
};

TEST_F(VcpuFinderTest, TellsProcessesWithVcpuThreads) {
  Spinner stranger("plain");
  EXPECT_FALSE(Sighting().has_value());
  Spinner vcpu("lab-vcpu 0");
  const auto sighting = Sighting();
  ASSERT_TRUE(sighting.has_value());
  EXPECT_EQ(sighting->key, static_cast<uint64_t>(getpid()));
  EXPECT_EQ(sighting->process.start_ticks, procfs_.Stat(getpid())->start_ticks);
}

TEST_F(VcpuFinderTest, TellsThreadsOfEachVcpu) {
  Spinner stranger("plain");
  Spinner first("lab-vcpu 0");
  Spinner third("CPU 2/TCG");
  const auto threads = finder_.Threads(self_);
  EXPECT_EQ(threads, (std::vector<VcpuThread>{{0, first.tid()}, {2, third.tid()}}));
  EXPECT_TRUE(finder_.Threads({4'000'000, 1}).empty());
}

TEST_F(VcpuFinderTest, TellsEachVcpuOnceWhateverThreadsCallThemselves) {
  Spinner first("lab-vcpu 0");
  Spinner impostor("vcpu0");
  EXPECT_EQ(finder_.Threads(self_).size(), 1u);
}

TEST_F(VcpuFinderTest, ScansOftenEnoughForASecond) {
  EXPECT_TRUE(finder_.IsScanDue());
  finder_.Scan();
  EXPECT_FALSE(finder_.IsScanDue());
  fake_now_ns += kSecond * 8 / 10 - 1;
  EXPECT_FALSE(finder_.IsScanDue());
  fake_now_ns += 1;
  EXPECT_TRUE(finder_.IsScanDue());
}

TEST_F(VcpuFinderTest, LooksAtNewProcessesOftenAndAtOldOnesSeldom) {
  Spinner vcpu("lab-vcpu 0");
  finder_.Scan();
  fake_now_ns += 9 * kSecond;
  EXPECT_TRUE(Sighting().has_value()) << "new";
  fake_now_ns += kSecond;
  EXPECT_FALSE(Sighting().has_value()) << "old, and looked at a second ago";
  fake_now_ns += 29 * kSecond;
  EXPECT_TRUE(Sighting().has_value()) << "old, and looked at 30 s ago";
}

TEST_F(VcpuFinderTest, LooksAtAnOldProcessAsSoonAsItHasMoreThreads) {
  finder_.Scan();
  fake_now_ns += 11 * kSecond;
  EXPECT_FALSE(Sighting().has_value());
  Spinner vcpu("lab-vcpu 0");
  fake_now_ns += kSecond;
  EXPECT_TRUE(Sighting().has_value());
  fake_now_ns += kSecond;
  EXPECT_FALSE(Sighting().has_value()) << "nothing new";
}

TEST_F(VcpuFinderTest, TellsNoThreadOfAnotherProcessWithThePid) {
  Spinner vcpu("lab-vcpu 0");
  EXPECT_EQ(finder_.Threads(self_).size(), 1u);
  EXPECT_TRUE(finder_.Threads({self_.pid, self_.start_ticks - 1}).empty());
}

// Process 71 holds vCPU 0, and the names of its threads 71 and 72 tell nothing.
class NamelessVmTest : public testing::Test {
 protected:
  void SetUp() override {
    fake_now_ns = kSecond;
    tree_.PutProcess(71, "nobody-knows");
    tree_.PutThread(71, 72, "nobody-knows");
    tree_.PutVcpuFd(71, 9, 0);
    tree_.PutInitialPidNamespace();
    auto procfs = Procfs::Open(tree_.proc());
    ASSERT_TRUE(procfs.ok()) << procfs.status();
    procfs_.emplace(*std::move(procfs));
    finder_.emplace(&*procfs_, tree_.sys(), Clock{[] { return fake_now_ns; }});
  }

  FakeTree tree_;
  std::optional<Procfs> procfs_;
  std::optional<VcpuFinder> finder_;
};

TEST_F(NamelessVmTest, IsCountedUntilItsEnd) {
  EXPECT_TRUE(finder_->Scan().empty());
  EXPECT_EQ(finder_->nameless(), 1u);
  tree_.Remove("proc/71");
  finder_->Scan();
  EXPECT_EQ(finder_->nameless(), 0u);
}

TEST_F(NamelessVmTest, IsFoundByDebugfsThatIsMountedLate) {
  EXPECT_TRUE(finder_->Scan().empty());
  fake_now_ns += 11 * kSecond;  // the process is an old one by now
  tree_.PutDebugfs("71-8", "0", "72");
  const auto sightings = finder_->Scan();
  ASSERT_EQ(sightings.size(), 1u);
  EXPECT_EQ(sightings[0].process.pid, 71);
  EXPECT_EQ(finder_->Threads(sightings[0].process), (std::vector<VcpuThread>{{0, 72}}));
  EXPECT_EQ(finder_->nameless(), 0u);
}

TEST_F(NamelessVmTest, IsFoundByLibvirtCgroups) {
  tree_.Put("proc/71/task/72/cgroup",
            "0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/vcpu0\n");
  const auto sightings = finder_->Scan();
  ASSERT_EQ(sightings.size(), 1u);
  EXPECT_EQ(finder_->Threads(sightings[0].process), (std::vector<VcpuThread>{{0, 72}}));
}

TEST_F(NamelessVmTest, SeveralInOneProcessAreCountedAndNotMixed) {
  tree_.PutDebugfs("71-8", "0", "71");
  tree_.PutDebugfs("71-9", "0", "72");
  EXPECT_TRUE(finder_->Scan().empty());
  EXPECT_EQ(finder_->several_vms(), 1u);
  tree_.Remove("sys/kernel/debug/kvm/71-9");
  EXPECT_EQ(finder_->Scan().size(), 1u);
  EXPECT_EQ(finder_->several_vms(), 0u);
}

}  // namespace
}  // namespace lockhost::agent
