// SPDX-License-Identifier: Apache-2.0

// Report words and hint events of the BPF source: user space is woken only for a vCPU that
// is held, awaited and in demand. On real KVM vCPUs or, where there are none, on threads that
// stand in for them.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/table/host_page.h"
#include "client/page/report_page.h"
#include "common/clock.h"
#include "common/scheduling.h"
#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/keep_registered.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kHeld = 7;  // thread slot 6 holds a lock

struct ReportPage {
  lockhost_report_header header;
  lockhost_report_slot slots[4];
};

// lockhostd's part: the hint ring's consumer and the interest's writer.
class HintConsumer {
 public:
  HintConsumer(UniqueFd ring, UniqueFd interest) : ring_fd_(std::move(ring)) {
    ring_ = ring_buffer__new(ring_fd_.get(), &HintConsumer::OnEvent, this, nullptr);
    void* memory = mmap(nullptr, sizeof(InterestEntry) * kMaxVms, PROT_READ | PROT_WRITE,
                        MAP_SHARED, interest.get(), 0);
    interest_ = memory == MAP_FAILED ? nullptr : static_cast<InterestEntry*>(memory);
  }
  ~HintConsumer() {
    ring_buffer__free(ring_);
    if (interest_ != nullptr) munmap(interest_, sizeof(InterestEntry) * kMaxVms);
  }

  bool ok() const { return ring_ != nullptr && interest_ != nullptr; }
  InterestEntry& interest(const VmMessage& vm) { return interest_[vm.vm_index]; }
  void Demand(const VmMessage& vm, uint64_t for_ns) {
    interest(vm).vm_id = vm.vm_id;
    std::atomic_ref(interest(vm).demand_until_ns).store(MonotonicClock().now_ns() + for_ns);
  }
  std::vector<HintEvent> Take() {
    taken_.clear();
    ring_buffer__consume(ring_);
    return std::exchange(taken_, {});
  }
  // Waits for the ring itself to wake this thread.
  std::vector<HintEvent> TakeWhenWoken() {
    taken_.clear();
    ring_buffer__poll(ring_, 20'000);
    return std::exchange(taken_, {});
  }

 private:
  static int OnEvent(void* self, void* data, size_t size) {
    EXPECT_EQ(size, sizeof(HintEvent));
    static_cast<HintConsumer*>(self)->taken_.push_back(*static_cast<const HintEvent*>(data));
    return 0;
  }

  UniqueFd ring_fd_;
  ring_buffer* ring_ = nullptr;
  InterestEntry* interest_ = nullptr;
  std::vector<HintEvent> taken_;
};

class HintEventsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!WatchFromLastCpu())
      GTEST_SKIP() << "one CPU alone: whoever looks on stops what it looks at";
    Start({.source = "bpf"});
  }

  void Start(const AgentOptions& options) {
    consumer_.reset();
    client_.reset();
    runner_.reset();
    auto runner = AgentRunner::Start(options);
    if (!runner.ok()) GTEST_SKIP() << runner.status().message();
    runner_ = *std::move(runner);
    auto vm = TinyVm::CreateAny(2);
    ASSERT_TRUE(vm.ok()) << vm.status();
    vm_ = *std::move(vm);
    KeepRegistered(*vm_, runner_->socket());
    auto client = AgentClient::Connect(runner_->socket());
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = std::make_unique<AgentClient>(*std::move(client));
    ASSERT_TRUE(client_->Subscribe().ok());
    auto source = client_->Await(kPatience);
    ASSERT_TRUE(source.ok()) << source.status();
    auto* event = std::get_if<SourceEvent>(&*source);
    ASSERT_NE(event, nullptr);
    consumer_ =
        std::make_unique<HintConsumer>(std::move(event->hint_ring), std::move(event->interest));
    ASSERT_TRUE(consumer_->ok());
    host_page_ = *HostPageReader::Attach(event->host_page.get());
  }

  // As of at most a second ago.
  uint64_t Counter(std::string_view id) const {
    const auto figures = host_page_->Read();
    for (uint32_t i = 0; i < figures->counter_count; ++i) {
      if (figures->counters[i].id == id) return figures->counters[i].value;
    }
    ADD_FAILURE() << "no counter " << id;
    return 0;
  }

  // Both vCPUs on CPU 0, so that they preempt each other all the time.
  void Run() {
    vm_->StartThread(1);
    RunFirst();
    for (const uint32_t vcpu : {0u, 1u}) AwaitPreemptions(vcpu, 3);
  }

  void RunFirst() {
    vm_->StartThread(0);
    ASSERT_TRUE(Eventually([&] {
      auto event = client_->Await(kPatience);
      auto* vm = event.ok() ? std::get_if<VmEvent>(&*event) : nullptr;
      if (vm == nullptr || vm->message.pid != getpid()) return false;
      seen_ = {vm->message, *TableReader::Attach(vm->table.get())};
      return true;
    }));
  }

  void AwaitPreemptions(uint32_t vcpu, uint64_t more) {
    const uint64_t before = seen_.table->Read(vcpu).preemptions;
    ASSERT_TRUE(Eventually([&] { return seen_.table->Read(vcpu).preemptions >= before + more; }));
  }

  void SetReportRegion(uint32_t slots) {
    const auto address = reinterpret_cast<uint64_t>(&page_);
    auto client = AgentClient::Connect(runner_->socket());
    ASSERT_TRUE(client.ok());
    ASSERT_TRUE(client->SetReportRegion(seen_.message.vm_id, address, slots).ok());
    const auto answer = client->Await(kPatience);
    ASSERT_TRUE(answer.ok() && std::holds_alternative<AckEvent>(*answer));
  }

  std::vector<HintEvent> EventsAfterPreemptions(uint64_t count) {
    consumer_->Take();
    AwaitPreemptions(0, count);
    AwaitPreemptions(1, count);
    return consumer_->Take();
  }

  alignas(64) ReportPage page_{};
  std::unique_ptr<AgentRunner> runner_;
  std::unique_ptr<TinyVm> vm_;
  std::unique_ptr<AgentClient> client_;
  std::unique_ptr<HostPageReader> host_page_;
  std::unique_ptr<HintConsumer> consumer_;
  ClientVm seen_;
};

TEST_F(HintEventsTest, ReportWordBecomesTheWitnessAndCountsHolders) {
  Run();
  EXPECT_EQ(seen_.table->Read(0).witness, 0u);
  page_.slots[0].report_word = kHeld | (5 << LOCKHOST_REPORT_COUNT_SHIFT);
  page_.slots[1].report_word = 6 << LOCKHOST_REPORT_COUNT_SHIFT;  // holds nothing
  SetReportRegion(4);
  AwaitPreemptions(0, 3);
  AwaitPreemptions(1, 3);
  EXPECT_EQ(seen_.table->Read(0).witness, page_.slots[0].report_word);
  EXPECT_EQ(seen_.table->Read(1).witness, page_.slots[1].report_word);
  EXPECT_GE(seen_.table->Read(0).lock_holder_preemptions, 2u);
  EXPECT_EQ(seen_.table->Read(1).lock_holder_preemptions, 0u);
}

TEST_F(HintEventsTest, SubscriberHearsThatReportsAreReadable) {
  Run();
  EXPECT_EQ(seen_.message.reports_readable, 0u);
  SetReportRegion(4);
  EXPECT_TRUE(Eventually([&] {
    auto event = client_->Await(std::chrono::milliseconds(100));
    auto* vm = event.ok() ? std::get_if<VmEvent>(&*event) : nullptr;
    return vm != nullptr && vm->message.vm_id == seen_.message.vm_id &&
           vm->message.reports_readable == 1;
  }));
}

TEST_F(HintEventsTest, SlotsBeyondTheRegionAreNotRead) {
  Run();
  page_.slots[0].report_word = kHeld;
  page_.slots[1].report_word = kHeld;
  SetReportRegion(1);
  AwaitPreemptions(0, 3);
  AwaitPreemptions(1, 3);
  EXPECT_EQ(seen_.table->Read(0).witness, kHeld);
  EXPECT_EQ(seen_.table->Read(1).witness, 0u);
}

TEST_F(HintEventsTest, WithdrawnRegionIsReadNoMore) {
  Run();
  page_.slots[0].report_word = kHeld;
  SetReportRegion(4);
  AwaitPreemptions(0, 3);
  auto client = AgentClient::Connect(runner_->socket());
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(client->SetReportRegion(seen_.message.vm_id, 0, 0).ok());
  const auto answer = client->Await(kPatience);
  ASSERT_TRUE(answer.ok() && std::holds_alternative<AckEvent>(*answer));
  AwaitPreemptions(0, 3);
  EXPECT_EQ(seen_.table->Read(0).witness, 0u);
}

TEST_F(HintEventsTest, UnmappedRegionCostsNothingButTheWitness) {
  Run();
  auto client = AgentClient::Connect(runner_->socket());
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(client->SetReportRegion(seen_.message.vm_id, 0x1000, 4).ok());
  const auto answer = client->Await(kPatience);
  ASSERT_TRUE(answer.ok() && std::holds_alternative<AckEvent>(*answer));
  AwaitPreemptions(0, 3);
  EXPECT_EQ(seen_.table->Read(0).witness, 0u);
}

TEST_F(HintEventsTest, NothingWithoutDemandOrHolderOrWaiter) {
  Run();
  SetReportRegion(4);
  page_.slots[0].report_word = kHeld;
  page_.slots[0].awaited = 1;
  EXPECT_TRUE(EventsAfterPreemptions(5).empty()) << "no demand";
  consumer_->Demand(seen_.message, 60 * kNsPerSecond);
  consumer_->interest(seen_.message).vm_id = seen_.message.vm_id + 1;
  EXPECT_TRUE(EventsAfterPreemptions(5).empty()) << "demand of another VM";
  page_.slots[0].report_word = 0;
  consumer_->Demand(seen_.message, 60 * kNsPerSecond);
  EXPECT_TRUE(EventsAfterPreemptions(5).empty()) << "not held";
  page_.slots[0].awaited = 0;
  page_.slots[0].report_word = kHeld;
  EXPECT_TRUE(EventsAfterPreemptions(5).empty()) << "not awaited";
}

TEST_F(HintEventsTest, HeldAndAwaitedVcpuIsToldOfInPairs) {
  Run();
  SetReportRegion(4);
  page_.slots[0].report_word = kHeld;
  page_.slots[0].awaited = 1;
  consumer_->Demand(seen_.message, 60 * kNsPerSecond);
  const std::vector<HintEvent> events = EventsAfterPreemptions(5);
  ASSERT_GE(events.size(), 4u);
  uint64_t last_revision = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].vm_id, seen_.message.vm_id);
    EXPECT_EQ(events[i].vm_index, seen_.message.vm_index);
    EXPECT_EQ(events[i].vcpu_id, 0u);
    EXPECT_GT(lockhost_revision_of(events[i].state_word), last_revision);
    last_revision = lockhost_revision_of(events[i].state_word);
    if (i == 0) continue;
    const bool runs = lockhost_state_of(events[i].state_word) == LOCKHOST_RUN_STATE_RUNNING;
    const bool ran = lockhost_state_of(events[i - 1].state_word) == LOCKHOST_RUN_STATE_RUNNING;
    // One that was displaced only briefly may be told to run without a word before.
    EXPECT_TRUE(runs || ran) << "event " << i;
  }
}

TEST_F(HintEventsTest, RunningAgainIsToldAlsoAfterDemandHasEnded) {
  Run();
  SetReportRegion(4);
  page_.slots[0].report_word = kHeld;
  page_.slots[0].awaited = 1;
  consumer_->Demand(seen_.message, 60 * kNsPerSecond);
  EventsAfterPreemptions(3);
  consumer_->Demand(seen_.message, 0);
  AwaitPreemptions(0, 3);
  const std::vector<HintEvent> rest = consumer_->Take();
  if (!rest.empty()) {  // empty if it happened to run when demand ended
    EXPECT_EQ(lockhost_state_of(rest.back().state_word), LOCKHOST_RUN_STATE_RUNNING);
  }
  EXPECT_TRUE(EventsAfterPreemptions(3).empty());
}

TEST_F(HintEventsTest, NamedVcpusAreToldOfWhereReportsAreNotReadable) {
  Run();
  consumer_->Demand(seen_.message, 60 * kNsPerSecond);
  consumer_->interest(seen_.message).awaited[0] = 1u << 1;
  const std::vector<HintEvent> events = EventsAfterPreemptions(5);
  ASSERT_FALSE(events.empty());
  for (const HintEvent& event : events) EXPECT_EQ(event.vcpu_id, 1u);
}

TEST_F(HintEventsTest, ReleasedHolderIsNotAnnounced) {
  Run();
  SetReportRegion(4);
  page_.slots[0].awaited = 1;
  page_.slots[0].report_word = 9 << LOCKHOST_REPORT_COUNT_SHIFT;
  consumer_->Demand(seen_.message, 60 * kNsPerSecond);
  consumer_->interest(seen_.message).awaited[0] = 1;  // readable words count for more
  EXPECT_TRUE(EventsAfterPreemptions(5).empty());
}

TEST_F(HintEventsTest, RingWakesItsConsumer) {
  Run();
  SetReportRegion(4);
  page_.slots[0].report_word = kHeld;
  page_.slots[0].awaited = 1;
  consumer_->Demand(seen_.message, 60 * kNsPerSecond);
  EXPECT_FALSE(consumer_->TakeWhenWoken().empty());
  EXPECT_FALSE(consumer_->TakeWhenWoken().empty());
}

TEST_F(HintEventsTest, RunningAgainNeedNotWakeTheConsumer) {
  Run();
  SetReportRegion(4);
  page_.slots[0].report_word = kHeld;
  page_.slots[0].awaited = 1;
  consumer_->Demand(seen_.message, 60 * kNsPerSecond);
  // Every wake-up is for "does not run"; "runs again" came along with it or waits.
  for (int i = 0; i < 3; ++i) {
    const std::vector<HintEvent> events = consumer_->TakeWhenWoken();
    ASSERT_FALSE(events.empty());
    EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const HintEvent& event) {
      return lockhost_state_of(event.state_word) != LOCKHOST_RUN_STATE_RUNNING;
    }));
  }
}

// Preempts whatever runs on CPU 0 a thousand times a second, each time for a moment.
class BriefThread {
 public:
  BriefThread() : thread_([this] { Run(); }) {}
  ~BriefThread() {
    stop_ = true;
    thread_.join();
  }

 private:
  void Run() {
    BindToCpu(0);
    EXPECT_TRUE(RequestShortSlice().ok());
    const timespec pause = {0, 1'000'000};
    while (!stop_) nanosleep(&pause, nullptr);
  }

  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

TEST_F(HintEventsTest, ABriefDisplacementIsNotTold) {
  utsname kernel;
  int major = 0;
  int minor = 0;
  ASSERT_EQ(uname(&kernel), 0);
  ASSERT_EQ(sscanf(kernel.release, "%d.%d", &major, &minor), 2);
  if (major < 6 || (major == 6 && minor < 12)) GTEST_SKIP() << "no slices of one's own before 6.12";
  RunFirst();
  SetReportRegion(4);
  page_.slots[0].report_word = kHeld;
  page_.slots[0].awaited = 1;
  const uint64_t before = seen_.table->Read(0).preemptions;
  consumer_->Demand(seen_.message, 600 * kNsPerSecond);
  BriefThread brief;
  ASSERT_TRUE(Eventually([&] { return Counter("hint_events_brief") >= 50; }));
  const uint64_t briefs = Counter("hint_events_brief");
  const std::vector<HintEvent> events = consumer_->Take();
  const uint64_t preemptions = seen_.table->Read(0).preemptions - before;
  const auto stops =
      static_cast<uint64_t>(std::count_if(events.begin(), events.end(), [](const HintEvent& event) {
        return lockhost_state_of(event.state_word) != LOCKHOST_RUN_STATE_RUNNING;
      }));
  // Other work of this machine may take CPU 0 in earnest, and that is told: one or the other.
  EXPECT_LE(stops + briefs, preemptions);
}

TEST_F(HintEventsTest, HostileGuestIsHeldToItsBudget) {
  AgentOptions options{.source = "bpf"};
  options.bpf.events_per_second = 2;
  options.bpf.event_burst = 4;
  Start(options);
  Run();
  SetReportRegion(4);
  page_.slots[0].report_word = kHeld;
  page_.slots[0].awaited = 1;
  consumer_->Demand(seen_.message, 600 * kNsPerSecond);
  const uint64_t start = MonotonicClock().now_ns();
  consumer_->Take();
  AwaitPreemptions(0, 50);
  const uint64_t seconds = (MonotonicClock().now_ns() - start) / kNsPerSecond + 1;
  EXPECT_LE(consumer_->Take().size(), 4 + 2 + 2 * seconds);
}

TEST_F(HintEventsTest, FullRingLosesNoState) {
  AgentOptions options{.source = "bpf"};
  options.bpf.events_per_second = 1'000'000;
  options.bpf.event_burst = 1'000'000;
  Start(options);
  Run();
  SetReportRegion(4);
  for (lockhost_report_slot& slot : page_.slots) {
    slot.report_word = kHeld;
    slot.awaited = 1;
  }
  consumer_->Demand(seen_.message, 600 * kNsPerSecond);
  // Nobody reads the ring. A vCPU that is parked and unparked makes two events a turn.
  const uint64_t ring_records = 256 * 1024 / (sizeof(HintEvent) + 8);
  const uint64_t enough = seen_.table->Read(0).revision() + 2 * ring_records;
  vm_->Park(1);  // leaves vCPU 0 alone on its CPU, where it is quick
  // Beside other work as well: each turn would wait for it twice.
  for (const pid_t tid : {gettid(), vm_->VcpuThreads()[0]}) {
    setpriority(PRIO_PROCESS, static_cast<id_t>(tid), -20);
  }
  const uint64_t deadline = MonotonicClock().now_ns() + 100 * kNsPerSecond;
  while (seen_.table->Read(0).revision() < enough && MonotonicClock().now_ns() < deadline) {
    const uint64_t revision = seen_.table->Read(0).revision();
    vm_->Park(0);
    while (seen_.table->Read(0).revision() == revision && MonotonicClock().now_ns() < deadline) {
      sched_yield();
    }
    vm_->Unpark(0);
  }
  ASSERT_GE(seen_.table->Read(0).revision(), enough);
  vm_->Park(0);
  EXPECT_TRUE(
      Eventually([&] { return seen_.table->Read(0).run_state() == LOCKHOST_RUN_STATE_EXITED; }));
  const uint64_t last = seen_.table->Read(0).revision();
  for (const HintEvent& event : consumer_->Take()) {
    if (event.vcpu_id != 0) continue;
    EXPECT_LE(lockhost_revision_of(event.state_word), last);
  }
  // Read again, the ring goes on.
  vm_->Unpark(0);
  vm_->Unpark(1);
  AwaitPreemptions(0, 5);
  EXPECT_FALSE(consumer_->Take().empty());
}

}  // namespace
}  // namespace lockhost::agent
