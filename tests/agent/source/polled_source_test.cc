// SPDX-License-Identifier: Apache-2.0

// The sources that poll, on real threads.
#include "agent/source/polled_source.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <memory>

#include "agent/source/thread_sampler.h"
#include "agent/table/table_reader.h"
#include "common/clock.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/other_user.h"
#include "tests/agent/support/spinner.h"

namespace lockhost::agent {
namespace {

TEST(JudgeRunStateTest, Cases) {
  EXPECT_EQ(JudgeRunState('R', true), LOCKHOST_RUN_STATE_RUNNING);
  EXPECT_EQ(JudgeRunState('R', false), LOCKHOST_RUN_STATE_PREEMPTED);
  for (const char state : {'S', 'D', 'T', 'I', '?'}) {
    EXPECT_EQ(JudgeRunState(state, true), LOCKHOST_RUN_STATE_EXITED) << state;
    EXPECT_EQ(JudgeRunState(state, false), LOCKHOST_RUN_STATE_EXITED) << state;
  }
}

TEST(ThreadSamplerTest, FollowsAThreadToItsEnd) {
  const auto procfs = Procfs::Open();
  auto spinner = std::make_unique<Spinner>("plain");
  auto sampler = ThreadSampler::Open(*procfs, getpid(), spinner->tid());
  ASSERT_NE(sampler, nullptr);
  EXPECT_TRUE(Eventually([&] { return sampler->Sample()->state == LOCKHOST_RUN_STATE_RUNNING; }));
  spinner->Sleep(true);
  EXPECT_TRUE(Eventually([&] { return sampler->Sample()->state == LOCKHOST_RUN_STATE_EXITED; }));
  spinner.reset();
  EXPECT_FALSE(sampler->Sample().has_value());
  EXPECT_EQ(ThreadSampler::Open(*procfs, getpid(), 4'000'000), nullptr);
}

class PolledSourceTest : public testing::TestWithParam<SourceKind> {
 protected:
  void SetUp() override {
    if (!WatchFromLastCpu())
      GTEST_SKIP() << "one CPU alone: whoever looks on stops what it looks at";
    auto source = Make();
    if (!source.ok()) GTEST_SKIP() << source.status().message();
    source_ = *std::move(source);
  }

  absl::StatusOr<std::unique_ptr<PolledSource>> Make() {
    return GetParam() == SourceKind::kPerf
               ? PolledSource::CreatePerf(&procfs_, "/sys", MonotonicClock())
               : PolledSource::CreateProcfs(&procfs_, "/sys", MonotonicClock());
  }
  // Under demand.
  auto SamplePeriod() const {
    return GetParam() == SourceKind::kPerf ? PolledSource::kPerfPeriod
                                           : PolledSource::kProcfsPeriod;
  }
  // Polls until this process has been told of.
  bool IsTold(ProcessId* process = nullptr) {
    return Eventually([&] {
      const auto sightings = source_->Poll();
      for (const VmSighting& sighting : *sightings) {
        if (sighting.process.pid != getpid()) continue;
        if (process != nullptr) *process = sighting.process;
        return true;
      }
      return false;
    });
  }
  VmRecord Follow(const ProcessId& process) {
    const VmRecord record{.vm_id = 9, .vm_index = 4, .key = 1, .process = process, .generation = 6};
    EXPECT_TRUE(source_->AddVm(record).ok());
    reader_ = *TableReader::Attach(source_->TableFd(record));
    return record;
  }
  void Demand(const VmRecord& record, uint64_t until_ns) {
    const size_t bytes = sizeof(InterestEntry) * kMaxVms;
    void* memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, source_->interest_fd(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    auto& entry = static_cast<InterestEntry*>(memory)[record.vm_index];
    entry.vm_id = record.vm_id;
    entry.demand_until_ns = until_ns;
    munmap(memory, bytes);
  }
  bool AwaitState(uint32_t vcpu, uint32_t state) {
    return Eventually([&] {
      EXPECT_TRUE(source_->Poll().ok());
      poll(nullptr, 0, 5);
      return reader_->Read(vcpu).run_state() == state;
    });
  }

  Procfs procfs_ = *Procfs::Open();
  std::unique_ptr<PolledSource> source_;
  std::unique_ptr<TableReader> reader_;
};

TEST_P(PolledSourceTest, FindsVcpusByTheirNames) {
  Spinner stranger("plain");
  Spinner first("lab-vcpu 0");
  Spinner second("CPU 2/TCG");
  ProcessId process;
  ASSERT_TRUE(IsTold(&process));
  EXPECT_EQ(process.start_ticks, procfs_.Stat(getpid())->start_ticks);
  const VmRecord record = Follow(process);
  EXPECT_EQ(source_->Counts(record), (VcpuCounts{2, 2}));
  EXPECT_EQ(reader_->generation(), 6u);
  Demand(record, UINT64_MAX);
  for (const uint32_t vcpu : {0u, 2u}) {
    EXPECT_TRUE(AwaitState(vcpu, LOCKHOST_RUN_STATE_RUNNING)) << vcpu;
    EXPECT_TRUE(AwaitState(vcpu, LOCKHOST_RUN_STATE_PREEMPTED)) << vcpu;
  }
  first.Sleep(true);
  EXPECT_TRUE(AwaitState(0, LOCKHOST_RUN_STATE_EXITED));
  EXPECT_EQ(reader_->ReadStateWord(1), 0u);
}

TEST_P(PolledSourceTest, ThreadsComeAndGo) {
  auto first = std::make_unique<Spinner>("lab-vcpu 0");
  ProcessId process;
  ASSERT_TRUE(IsTold(&process));
  const VmRecord record = Follow(process);
  Demand(record, UINT64_MAX);
  ASSERT_TRUE(AwaitState(0, LOCKHOST_RUN_STATE_RUNNING));
  Spinner second("lab-vcpu 1");
  ASSERT_TRUE(AwaitState(1, LOCKHOST_RUN_STATE_RUNNING));
  EXPECT_EQ(source_->Counts(record), (VcpuCounts{2, 2}));
  first.reset();
  EXPECT_TRUE(AwaitState(0, LOCKHOST_RUN_STATE_UNSPECIFIED));
  EXPECT_EQ(source_->Counts(record), (VcpuCounts{1, 2}));
}

TEST_P(PolledSourceTest, SamplesOftenUnderDemandAlone) {
  EXPECT_EQ(source_->poll_interval(), VcpuFinder::kScanPeriod);
  Spinner vcpu("lab-vcpu 0");
  ProcessId process;
  ASSERT_TRUE(IsTold(&process));
  const VmRecord record = Follow(process);
  EXPECT_EQ(std::chrono::nanoseconds(reader_->sampled_every_ns()), SamplePeriod());
  EXPECT_GT(source_->poll_interval(), SamplePeriod());
  Demand(record, UINT64_MAX);
  EXPECT_EQ(source_->poll_interval(), SamplePeriod());
  const auto samples = [&] { return source_->Counters()[0].value; };
  const uint64_t before = samples();
  ASSERT_TRUE(source_->Poll().ok());
  EXPECT_EQ(samples(), before + 1);
  Demand(record, 1);  // long past
  EXPECT_GT(source_->poll_interval(), SamplePeriod());
  ASSERT_TRUE(source_->Poll().ok());
  EXPECT_EQ(samples(), before + 1) << "not due without demand";
}

TEST_P(PolledSourceTest, RemovedVmSaysNoHintToWhoeverStillMapsIt) {
  Spinner vcpu("lab-vcpu 0");
  ProcessId process;
  ASSERT_TRUE(IsTold(&process));
  const VmRecord record = Follow(process);
  ASSERT_TRUE(AwaitState(0, LOCKHOST_RUN_STATE_RUNNING));
  source_->SetMode(record, LOCKHOST_MODE_OVERCOMMITTED);
  EXPECT_EQ(reader_->mode(), LOCKHOST_MODE_OVERCOMMITTED);
  EXPECT_EQ(reader_->generation(), 6u);
  source_->RemoveVm(record);
  EXPECT_EQ(reader_->Read(0).run_state(), LOCKHOST_RUN_STATE_UNSPECIFIED);
  EXPECT_EQ(reader_->generation(), 0u);
  EXPECT_EQ(reader_->mode(), LOCKHOST_MODE_UNSPECIFIED);
  EXPECT_EQ(source_->TableFd(record), -1);
  EXPECT_EQ(source_->Counts(record), VcpuCounts{});
  source_->RemoveVm(record);  // once more: nothing happens
  EXPECT_TRUE(absl::IsNotFound(source_->SetVcpuThreads(record, {})));
}

TEST_P(PolledSourceTest, SaysWhatItCannotDo) {
  Spinner vcpu("lab-vcpu 0");
  ProcessId process;
  ASSERT_TRUE(IsTold(&process));
  const VmRecord record = Follow(process);
  EXPECT_TRUE(absl::IsUnimplemented(source_->SetReportRegion(record, 0x1000, 1)));
  EXPECT_FALSE(source_->ReportsReadable(record));
  EXPECT_EQ(source_->hint_ring_fd(), -1);
  EXPECT_FALSE(source_->outlives_agent());
}

TEST_P(PolledSourceTest, WorksWithoutPrivilegesForProcessesOfTheSameUser) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to become another user";
  EXPECT_EQ(InChild(kNobody,
                    [&] {
                      Spinner vcpu("lab-vcpu 0");
                      auto source = Make();
                      if (!source.ok()) return 3;
                      source_ = *std::move(source);
                      ProcessId process;
                      if (!IsTold(&process)) return 1;
                      Follow(process);
                      return AwaitState(0, LOCKHOST_RUN_STATE_RUNNING) ? 0 : 2;
                    }),
            0);
}

TEST_P(PolledSourceTest, InterestCannotBeResizedByWhoWritesIt) {
  EXPECT_NE(ftruncate(source_->interest_fd(), 0), 0);
  EXPECT_NE(ftruncate(source_->interest_fd(), 1 << 22), 0);
}

TEST_P(PolledSourceTest, ANewVmHasAStateAtOnce) {
  Spinner vcpu("lab-vcpu 0");
  vcpu.Sleep(true);
  // Of a thread that is runnable and has not switched since, perf cannot say more than that.
  ASSERT_TRUE(Eventually([&] { return procfs_.ThreadStat(getpid(), vcpu.tid())->state == 'S'; }));
  ProcessId process;
  ASSERT_TRUE(IsTold(&process));
  Follow(process);
  EXPECT_NE(reader_->ReadStateWord(0), 0u) << "without another poll";
}

INSTANTIATE_TEST_SUITE_P(Each, PolledSourceTest,
                         testing::Values(SourceKind::kPerf, SourceKind::kProcfs),
                         [](const auto& info) {
                           return info.param == SourceKind::kPerf ? "Perf" : "Procfs";
                         });

}  // namespace
}  // namespace lockhost::agent
