// SPDX-License-Identifier: Apache-2.0

// Whom the BPF programs ask to run again, and whom not, with this test in the booster's place. On
// threads that stand in for vCPUs: the programs tell no difference.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>

#include "agent/bpf/shared.h"
#include "agent/source/bpf_source.h"
#include "client/page/hint_reader.h"
#include "client/page/report_page.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/spinner.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kHeld = 7;  // thread slot 6 holds a lock
constexpr uint32_t kHolder = 0, kSibling = 1, kElsewhere = 2;

struct ReportPage {
  lockhost_report_header header;
  lockhost_report_slot slots[4];
};

// Other work of this machine hardly ever comes between.
struct UrgentSpinner : Spinner {
  explicit UrgentSpinner(const std::string& name) : Spinner(name) {
    setpriority(PRIO_PROCESS, static_cast<id_t>(tid()), -20);
  }
};

// A holder that somebody waits for, and another vCPU of its VM, on one CPU.
class BoostEventsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!WatchFromLastCpu())
      GTEST_SKIP() << "one CPU alone: whoever looks on stops what it looks at";
    auto source = BpfSource::Create({.pin_directory = ""}, &procfs_, MonotonicClock());
    if (!source.ok()) GTEST_SKIP() << source.status().message();
    source_ = *std::move(source);
    vm_.process = {getpid(), procfs_.Stat(getpid())->start_ticks};
    ASSERT_TRUE(source_->AddVm(vm_).ok());
    ASSERT_TRUE(source_->SetReportRegion(vm_, reinterpret_cast<uint64_t>(&page_), 4).ok());
    const int32_t tids[] = {holder_.tid(), sibling_.tid()};
    ASSERT_TRUE(source_->SetVcpuThreads(vm_, tids).ok());
    table_ = Map(source_->TableFd(vm_), (1 + LOCKHOST_MAX_SLOTS) * sizeof(lockhost_hint_slot),
                 PROT_READ);
    vms_ = static_cast<lh_vm*>(
        Map(source_->boost_feed()->vms_fd, sizeof(lh_vm) * LH_MAX_VMS, PROT_READ | PROT_WRITE));
    ASSERT_TRUE(table_ != MAP_FAILED && vms_ != MAP_FAILED);
    ring_.reset(
        ring_buffer__new(source_->boost_feed()->ring_fd, &BoostEventsTest::OnEvent, this, nullptr));
    ASSERT_NE(ring_, nullptr);
    page_.slots[kHolder].report_word = kHeld;
    page_.slots[kHolder].awaited = 1;
    std::atomic_ref(vms_[vm_.vm_index].boost_from_ns).store(0);
  }

  static void* Map(int fd, size_t size, int protection) {
    return mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
  }
  const lockhost_hint_slot* slot(uint32_t vcpu) const {
    return lockhost_hint_slot_at(static_cast<const lockhost_hint_header*>(table_), vcpu);
  }
  uint64_t StateWord(uint32_t vcpu) const {
    return __atomic_load_n(&slot(vcpu)->state_word, __ATOMIC_ACQUIRE);
  }
  bool Is(uint32_t vcpu, lockhost_run_state state) const {
    return lockhost_state_of(StateWord(vcpu)) == state;
  }
  uint64_t Preemptions() const {
    return __atomic_load_n(&slot(kHolder)->preemptions, __ATOMIC_RELAXED);
  }
  uint64_t Asked() {
    ring_buffer__consume(ring_.get());
    return events_;
  }
  // Boosts asked for in so many preemptions of the holder.
  uint64_t AskedIn(uint64_t preemptions) {
    const uint64_t asked = Asked(), until = Preemptions() + preemptions;
    EXPECT_TRUE(Eventually([&] { return Preemptions() >= until; }));
    return Asked() - asked;
  }
  // The sibling waits for the holder, and goes to sleep.
  void SleepAndWake() {
    page_.slots[kSibling].waits_for = kHolder + 1;
    sibling_.Sleep(true);
    EXPECT_TRUE(Eventually([&] { return Is(kSibling, LOCKHOST_RUN_STATE_EXITED); }));
    sibling_.Sleep(false);
    EXPECT_TRUE(Eventually([&] { return Is(kSibling, LOCKHOST_RUN_STATE_RUNNING); }));
  }

  static int OnEvent(void* self, void*, size_t) {
    ++static_cast<BoostEventsTest*>(self)->events_;
    return 0;
  }

  uint64_t events_ = 0;
  alignas(64) ReportPage page_{};
  UrgentSpinner holder_{"holder"}, sibling_{"sibling"};
  const Procfs procfs_ = *Procfs::Open();
  std::unique_ptr<BpfSource> source_;
  std::unique_ptr<ring_buffer, void (*)(ring_buffer*)> ring_{nullptr, &ring_buffer__free};
  VmRecord vm_{.vm_id = 1, .vm_index = 0, .key = 0, .process = {}, .generation = 1};
  const void* table_ = nullptr;
  lh_vm* vms_ = nullptr;
};

// Other work of this machine may take CPU 0, so neither is all or nothing.
constexpr uint64_t kPreemptions = 100;
constexpr uint64_t kFew = kPreemptions / 4;
constexpr uint64_t kMany = kPreemptions * 3 / 4;

TEST_F(BoostEventsTest, WhoeverElseTakesItsCpu) {
  sibling_.Sleep(true);
  const UrgentSpinner other("other");
  EXPECT_GE(AskedIn(kPreemptions), kMany);
}

TEST_F(BoostEventsTest, NotWhereAnotherVcpuOfTheVmTakesIt) {
  EXPECT_LE(AskedIn(kPreemptions), kFew);
  page_.slots[kSibling].waits_for = kHolder + 1;
  EXPECT_LE(AskedIn(kPreemptions), kFew) << "it wants the lock itself, and will go to sleep";
}

TEST_F(BoostEventsTest, UnlessSomebodyWaitsOnAThird) {
  page_.slots[kElsewhere].waits_for = kHolder + 1;
  EXPECT_GE(AskedIn(kPreemptions), kMany);
}

TEST_F(BoostEventsTest, ASleeperAsksForAHolderThatIsNotNext) {
  const UrgentSpinner others[] = {UrgentSpinner("other"), UrgentSpinner("another")};
  std::atomic_ref(page_.slots[kHolder].awaited).store(0);
  const uint64_t asked = Asked();
  for (int i = 0; i < 20; ++i) SleepAndWake();
  EXPECT_GT(Asked(), asked);
}

TEST_F(BoostEventsTest, ASleeperDoesNotAskForAHolderThatIsNext) {
  const uint64_t asked = Asked();
  for (int i = 0; i < 40; ++i) SleepAndWake();
  EXPECT_LE(Asked(), asked + 10);
}

// The sibling would spin for the holder on the CPU that the holder needs.
TEST_F(BoostEventsTest, ARecallEndsWhenASiblingGetsTheHoldersCpu) {
  const UrgentSpinner others[] = {UrgentSpinner("other"), UrgentSpinner("another")};
  uint64_t recalled = 0;  // state word of the holder, while it was to be run again at once
  int taken_back = 0, looks = 0;
  EXPECT_TRUE(Eventually([&] {
    // They may take turns in an order where the sibling always follows the holder.
    if (++looks % 64 == 0) sibling_.Sleep(looks % 128 == 0);
    const uint64_t sibling = StateWord(kSibling), holder = StateWord(kHolder);
    const uint64_t recall = __atomic_load_n(&slot(kHolder)->recalled, __ATOMIC_ACQUIRE);
    const bool is_off = lockhost_state_of(holder) == LOCKHOST_RUN_STATE_PREEMPTED;
    const bool has_cpu = lockhost_state_of(sibling) == LOCKHOST_RUN_STATE_RUNNING;
    if (StateWord(kSibling) != sibling || StateWord(kHolder) != holder || !is_off) return false;
    if (!has_cpu && recall == holder) recalled = holder;
    if (has_cpu) {
      EXPECT_NE(recall, holder);
    }
    if (has_cpu && recalled == holder) ++taken_back, recalled = 0;
    return taken_back >= 5 || HasFailure();
  }));
}

}  // namespace
}  // namespace lockhost::agent
