// SPDX-License-Identifier: Apache-2.0

// Discovery by /proc on real threads, under a clock that the tests move.
#include "agent/discovery/vcpu_finder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "tests/agent/support/spinner.h"
#include "tests/agent/support/temp_dir.h"

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
  VcpuFinder finder_{&procfs_, Clock{[] { return fake_now_ns; }}};
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
  auto threads = finder_.Threads(getpid());
  std::sort(threads.begin(), threads.end(),
            [](const auto& a, const auto& b) { return a.vcpu_id < b.vcpu_id; });
  EXPECT_EQ(threads, (std::vector<VcpuThread>{{0, first.tid()}, {2, third.tid()}}));
  EXPECT_TRUE(finder_.Threads(4'000'000).empty());
}

TEST_F(VcpuFinderTest, TellsEachVcpuOnceWhateverThreadsCallThemselves) {
  Spinner first("lab-vcpu 0");
  Spinner impostor("vcpu0");
  EXPECT_EQ(finder_.Threads(getpid()).size(), 1u);
}

TEST_F(VcpuFinderTest, ScansOnceASecond) {
  EXPECT_TRUE(finder_.IsScanDue());
  finder_.Scan();
  EXPECT_FALSE(finder_.IsScanDue());
  fake_now_ns += kSecond - 1;
  EXPECT_FALSE(finder_.IsScanDue());
  fake_now_ns += 1;
  EXPECT_TRUE(finder_.IsScanDue());
}

TEST_F(VcpuFinderTest, LooksAtNewProcessesOftenAndAtOldOnesSeldom) {
  finder_.Scan();
  Spinner vcpu("lab-vcpu 0");
  fake_now_ns += 9 * kSecond;
  EXPECT_TRUE(Sighting().has_value()) << "new";
  fake_now_ns += kSecond;
  EXPECT_FALSE(Sighting().has_value()) << "old, and looked at a second ago";
  fake_now_ns += 29 * kSecond;
  EXPECT_TRUE(Sighting().has_value()) << "old, and looked at 30 s ago";
}

TEST_F(VcpuFinderTest, CountsVmsWithoutKnownNamesUntilTheyEnd) {
  const TempDir root;
  const std::filesystem::path process = std::filesystem::path(root.path()) / "71";
  std::filesystem::create_directories(process / "task/71");
  std::filesystem::create_directories(process / "fd");
  std::filesystem::create_symlink("anon_inode:kvm-vcpu:0", process / "fd/9");
  std::ofstream(process / "task/71/comm") << "nobody-knows\n";
  // A real stat line: its form is the kernel's own.
  std::ofstream(process / "stat") << std::ifstream("/proc/self/stat").rdbuf();
  const auto procfs = Procfs::Open(root.path());
  ASSERT_TRUE(procfs.ok()) << procfs.status();
  VcpuFinder finder(&*procfs, Clock{[] { return fake_now_ns; }});
  EXPECT_TRUE(finder.Scan().empty());
  EXPECT_EQ(finder.nameless(), 1u);
  std::filesystem::remove_all(process);
  finder.Scan();
  EXPECT_EQ(finder.nameless(), 0u);
}

}  // namespace
}  // namespace lockhost::agent
