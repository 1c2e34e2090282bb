// SPDX-License-Identifier: Apache-2.0

// The BPF source, end to end: what the scheduler does is what the table says. On real KVM
// vCPUs, with nobody registering anything; where there is no KVM, on registered threads.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <string>

#include "agent/kernel/procfs.h"
#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/keep_registered.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {
namespace {

class BpfSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!WatchFromLastCpu())
      GTEST_SKIP() << "one CPU alone: whoever looks on stops what it looks at";
    auto runner = AgentRunner::Start({.source = "bpf"});
    if (!runner.ok()) GTEST_SKIP() << runner.status().message();
    runner_ = *std::move(runner);
    auto client = AgentClient::Connect(runner_->socket());
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = std::make_unique<AgentClient>(*std::move(client));
  }

  // By KVM, or of threads that the agent is told of.
  std::unique_ptr<TinyVm> MakeVm(int vcpus) {
    auto vm = TinyVm::CreateAny(vcpus);
    EXPECT_TRUE(vm.ok()) << vm.status();
    if (!vm.ok()) return nullptr;
    KeepRegistered(**vm, runner_->socket());
    return *std::move(vm);
  }

  ClientVm AwaitOwnVm() {
    EXPECT_TRUE(client_->RequestOwnTable().ok());
    auto vm = AwaitVm(*client_);
    EXPECT_TRUE(vm.ok()) << vm.status();
    return vm.ok() ? *std::move(vm) : ClientVm{};
  }

  std::unique_ptr<AgentRunner> runner_;
  std::unique_ptr<AgentClient> client_;
};

#define MAKE_VM(name, vcpus)       \
  const auto name = MakeVm(vcpus); \
  ASSERT_NE(name, nullptr)

// For what threads cannot show, and why not.
#define MAKE_KVM_VM_OR_SKIP(name, why, ...)                                               \
  auto name##_or = TinyVm::Create(__VA_ARGS__);                                           \
  if (absl::IsUnavailable(name##_or.status()))                                            \
    GTEST_SKIP() << name##_or.status().message() << ", and threads will not do: " << why; \
  ASSERT_TRUE(name##_or.ok()) << name##_or.status();                                      \
  const std::unique_ptr<TinyVm> name = *std::move(name##_or)

uint32_t State(const ClientVm& vm, uint32_t vcpu) {
  return lockhost_state_of(vm.table->ReadStateWord(vcpu));
}

bool AwaitState(const ClientVm& vm, uint32_t vcpu, uint32_t state) {
  return Eventually([&] { return State(vm, vcpu) == state; });
}

uint64_t InvoluntarySwitches(pid_t tid) {
  std::ifstream status("/proc/self/task/" + std::to_string(tid) + "/status");
  const std::string key = "nonvoluntary_ctxt_switches:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stoull(line.substr(key.size()));
  }
  return 0;
}

uint64_t RunDelayNs(pid_t tid) {
  const auto procfs = Procfs::Open();
  const UniqueFd file = procfs->OpenThreadFile(getpid(), tid, "schedstat");
  const auto schedstat = ParseSchedstat(ReadAgain(file));
  return schedstat ? schedstat->delay_ns : 0;
}

TEST_F(BpfSourceTest, FindsRunningVmWithoutRegistration) {
  MAKE_KVM_VM_OR_SKIP(vm, "they must be registered", 2);
  vm->StartThread(0);
  vm->StartThread(1);
  const ClientVm seen = AwaitOwnVm();
  ASSERT_NE(seen.table, nullptr);
  EXPECT_EQ(seen.message.pid, getpid());
  EXPECT_EQ(seen.message.source, SourceKind::kBpf);
  EXPECT_NE(seen.message.vm_id, 0u);
  EXPECT_NE(seen.table->generation(), 0u);
  EXPECT_EQ(seen.table->generation(), seen.message.generation);
  EXPECT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
  EXPECT_TRUE(AwaitState(seen, 1, LOCKHOST_RUN_STATE_RUNNING));
}

TEST_F(BpfSourceTest, ShowsPreemptionsOfVcpusThatShareOneCpu) {
  MAKE_VM(vm, 2);
  vm->StartThread(0);
  vm->StartThread(1);
  const ClientVm seen = AwaitOwnVm();
  for (const uint32_t vcpu : {0u, 1u}) {
    EXPECT_TRUE(AwaitState(seen, vcpu, LOCKHOST_RUN_STATE_RUNNING)) << vcpu;
    EXPECT_TRUE(AwaitState(seen, vcpu, LOCKHOST_RUN_STATE_PREEMPTED)) << vcpu;
    EXPECT_TRUE(AwaitState(seen, vcpu, LOCKHOST_RUN_STATE_RUNNING)) << vcpu;
    EXPECT_GT(seen.table->Read(vcpu).preemptions, 0u);
    EXPECT_EQ(seen.table->Read(vcpu).lock_holder_preemptions, 0u);
  }
}

TEST_F(BpfSourceTest, TellsSleepInTheVmmAsExited) {
  MAKE_VM(vm, 1);
  vm->StartThread(0);
  const ClientVm seen = AwaitOwnVm();
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
  vm->Park(0);
  EXPECT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_EXITED));
  vm->Unpark(0);
  EXPECT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
}

TEST_F(BpfSourceTest, TellsIdleGuestAsHalted) {
  MAKE_KVM_VM_OR_SKIP(vm, "they have no HLT", 1, TinyVm::Guest::kHalts);
  vm->StartThread(0);
  const ClientVm seen = AwaitOwnVm();
  EXPECT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_HALTED));
}

TEST_F(BpfSourceTest, RevisionGrowsWithEveryChange) {
  MAKE_VM(vm, 1);
  vm->StartThread(0);
  const ClientVm seen = AwaitOwnVm();
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
  uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    vm->Park(0);
    ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_EXITED));
    EXPECT_GT(seen.table->Read(0).revision(), last);
    last = seen.table->Read(0).revision();
    vm->Unpark(0);
    ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
    EXPECT_GT(seen.table->Read(0).revision(), last);
    last = seen.table->Read(0).revision();
  }
}

TEST_F(BpfSourceTest, StealAndPreemptionsAreTheSchedulersOwn) {
  MAKE_VM(vm, 2);
  const pid_t tid = vm->tid(vm->StartThread(0));
  vm->StartThread(1);
  const ClientVm seen = AwaitOwnVm();
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
  vm->Park(0);
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_EXITED));
  const uint64_t preemptions = seen.table->Read(0).preemptions;
  const uint64_t switches = InvoluntarySwitches(tid);
  vm->Unpark(0);
  ASSERT_TRUE(Eventually([&] { return seen.table->Read(0).preemptions > preemptions + 20; }));
  vm->Park(0);
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_EXITED));
  EXPECT_EQ(seen.table->Read(0).preemptions - preemptions, InvoluntarySwitches(tid) - switches);
  const auto steal = static_cast<double>(seen.table->Read(0).steal_ns);
  EXPECT_GT(steal, 1e6);
  EXPECT_NEAR(steal, static_cast<double>(RunDelayNs(tid)), 1e6);
}

TEST_F(BpfSourceTest, ThreadsThatRunNoVcpuNeverAppear) {
  MAKE_VM(vm, 1);
  std::atomic<bool> stop = false;
  std::thread stranger([&] {
    while (!stop) sched_yield();
  });
  vm->StartThread(0);
  const ClientVm seen = AwaitOwnVm();
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
  const uint64_t preemptions = seen.table->Read(0).preemptions;
  EXPECT_TRUE(Eventually([&] { return RunDelayNs(gettid()) > 0; }));
  for (uint32_t vcpu = 1; vcpu < seen.table->slot_count(); ++vcpu) {
    EXPECT_EQ(seen.table->ReadStateWord(vcpu), 0u) << vcpu;
  }
  EXPECT_GE(seen.table->Read(0).preemptions, preemptions);
  stop = true;
  stranger.join();
}

TEST_F(BpfSourceTest, ThreadExitClearsTheSlotButNotTheRevision) {
  MAKE_VM(vm, 2);
  const int ending = vm->StartThread(0);
  vm->StartThread(1);
  const ClientVm seen = AwaitOwnVm();
  ASSERT_TRUE(AwaitState(seen, 1, LOCKHOST_RUN_STATE_RUNNING));
  ASSERT_TRUE(Eventually([&] { return seen.table->Read(0).preemptions > 2; }));
  const uint64_t revision = seen.table->Read(0).revision();
  vm->JoinThread(ending);
  EXPECT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_UNSPECIFIED));
  const VcpuObservation cleared = seen.table->Read(0);
  EXPECT_GT(cleared.revision(), revision);
  EXPECT_EQ(cleared.preemptions, 0u);
  EXPECT_EQ(cleared.steal_ns, 0u);
  EXPECT_EQ(cleared.since_ns, 0u);
  EXPECT_TRUE(AwaitState(seen, 1, LOCKHOST_RUN_STATE_RUNNING));
}

TEST_F(BpfSourceTest, VcpuFollowsTheThreadThatRunsItNow) {
  MAKE_VM(vm, 2);
  const int first = vm->StartThread(0);
  const ClientVm seen = AwaitOwnVm();
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
  vm->Assign(first, -1);
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_EXITED));
  const int second = vm->StartThread(-1);
  vm->Assign(second, 0);
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
  // The first thread sleeps and ends: that is no longer the vCPU's business.
  vm->Assign(first, 1);
  ASSERT_TRUE(AwaitState(seen, 1, LOCKHOST_RUN_STATE_RUNNING));
  const uint64_t revision = seen.table->Read(0).revision();
  vm->JoinThread(first);
  ASSERT_TRUE(AwaitState(seen, 1, LOCKHOST_RUN_STATE_UNSPECIFIED));
  EXPECT_GE(seen.table->Read(0).revision(), revision);
  EXPECT_NE(State(seen, 0), LOCKHOST_RUN_STATE_UNSPECIFIED);
  vm->Park(0);
  EXPECT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_EXITED));
}

TEST_F(BpfSourceTest, KeepsTwoVmsApart) {
  const char* why = "a process can register but one VM";
  MAKE_KVM_VM_OR_SKIP(first, why, 1);
  MAKE_KVM_VM_OR_SKIP(second, why, 2);
  first->StartThread(0);
  const ClientVm seen_first = AwaitOwnVm();
  ASSERT_TRUE(AwaitState(seen_first, 0, LOCKHOST_RUN_STATE_RUNNING));
  first->Park(0);
  second->StartThread(1);
  ClientVm seen_second;
  ASSERT_TRUE(Eventually([&] {
    EXPECT_TRUE(client_->RequestOwnTable().ok());
    for (int i = 0; i < 2 && seen_second.table == nullptr; ++i) {
      auto vm = client_->Await(std::chrono::milliseconds(50));
      auto* event = vm.ok() ? std::get_if<VmEvent>(&*vm) : nullptr;
      if (event == nullptr || event->message.vm_id == seen_first.message.vm_id) continue;
      seen_second = {event->message, *TableReader::Attach(event->table.get())};
    }
    return seen_second.table != nullptr;
  }));
  EXPECT_NE(seen_first.message.vm_index, seen_second.message.vm_index);
  EXPECT_NE(seen_first.message.generation, seen_second.message.generation);
  EXPECT_TRUE(AwaitState(seen_second, 1, LOCKHOST_RUN_STATE_RUNNING));
  EXPECT_EQ(State(seen_second, 0), LOCKHOST_RUN_STATE_UNSPECIFIED);
  EXPECT_TRUE(AwaitState(seen_first, 0, LOCKHOST_RUN_STATE_EXITED));
  EXPECT_EQ(State(seen_first, 1), LOCKHOST_RUN_STATE_UNSPECIFIED);
}

TEST_F(BpfSourceTest, VmGoesWithItsLastThread) {
  MAKE_VM(vm, 1);
  const int thread = vm->StartThread(0);
  const ClientVm seen = AwaitOwnVm();
  ASSERT_TRUE(AwaitState(seen, 0, LOCKHOST_RUN_STATE_RUNNING));
  ASSERT_TRUE(client_->Subscribe().ok());
  // Who has not been heard yet is not told of what ends.
  ASSERT_TRUE(Eventually([&] {
    auto event = client_->Await(std::chrono::milliseconds(100));
    return event.ok() && std::holds_alternative<SyncedEvent>(*event);
  }));
  vm->JoinThread(thread);
  EXPECT_TRUE(Eventually([&] {
    auto event = client_->Await(std::chrono::milliseconds(100));
    const auto* gone = event.ok() ? std::get_if<VmGoneEvent>(&*event) : nullptr;
    return gone != nullptr && gone->message.vm_id == seen.message.vm_id;
  }));
  // Whoever still maps the table reads "no hint".
  EXPECT_EQ(seen.table->generation(), 0u);
  EXPECT_EQ(State(seen, 0), LOCKHOST_RUN_STATE_UNSPECIFIED);
  // Another thread that runs a vCPU of the same VM makes it a new one.
  vm->StartThread(-1);
  vm->Assign(1, 0);
  EXPECT_TRUE(Eventually([&] {
    auto event = client_->Await(std::chrono::milliseconds(100));
    const auto* again = event.ok() ? std::get_if<VmEvent>(&*event) : nullptr;
    return again != nullptr && again->message.pid == getpid() &&
           again->message.vm_id > seen.message.vm_id;
  }));
}

}  // namespace
}  // namespace lockhost::agent
