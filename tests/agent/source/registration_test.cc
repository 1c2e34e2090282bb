// SPDX-License-Identifier: Apache-2.0

// Threads that run vCPUs where KVM cannot show them, registered over the channel; the
// same for every source.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>

#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/other_user.h"
#include "tests/agent/support/spinner.h"

namespace lockhost::agent {
namespace {

class RegistrationTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!WatchFromLastCpu())
      GTEST_SKIP() << "one CPU alone: whoever looks on stops what it looks at";
    auto runner = AgentRunner::Start({.source = GetParam()});
    if (!runner.ok()) GTEST_SKIP() << runner.status().message();
    runner_ = *std::move(runner);
    auto client = AgentClient::Connect(runner_->socket());
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = std::make_unique<AgentClient>(*std::move(client));
  }

  absl::StatusOr<ClientVm> Register(const std::vector<pid_t>& tids) {
    EXPECT_TRUE(client_->RegisterVcpus(tids).ok());
    return AwaitVm(*client_);
  }

  // Keeps demand alive, as lockhostd does, so that sampling is quick.
  void Demand(const ClientVm& vm) {
    AgentClient server = *AgentClient::Connect(runner_->socket());
    ASSERT_TRUE(server.Subscribe().ok());
    auto event = server.Await(kPatience);
    ASSERT_TRUE(event.ok());
    const UniqueFd fd = std::move(std::get<SourceEvent>(*event).interest);
    const size_t bytes = sizeof(InterestEntry) * kMaxVms;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    auto& entry = static_cast<InterestEntry*>(memory)[vm.message.vm_index];
    entry.vm_id = vm.message.vm_id;
    entry.demand_until_ns = UINT64_MAX;
    munmap(memory, bytes);
  }

  bool AwaitState(const ClientVm& vm, uint32_t vcpu, uint32_t state) {
    return Eventually([&] { return vm.table->Read(vcpu).run_state() == state; });
  }

  std::unique_ptr<AgentRunner> runner_;
  std::unique_ptr<AgentClient> client_;
};

TEST_P(RegistrationTest, RegisteredThreadsAreVcpus) {
  Spinner first("plain");
  Spinner third("plain");
  const auto vm = Register({first.tid(), 0, third.tid()});
  ASSERT_TRUE(vm.ok()) << vm.status();
  EXPECT_EQ(vm->message.pid, getpid());
  Demand(*vm);
  for (const uint32_t vcpu : {0u, 2u}) {
    EXPECT_TRUE(AwaitState(*vm, vcpu, LOCKHOST_RUN_STATE_RUNNING)) << vcpu;
    EXPECT_TRUE(AwaitState(*vm, vcpu, LOCKHOST_RUN_STATE_PREEMPTED)) << vcpu;
  }
  EXPECT_EQ(vm->table->ReadStateWord(1), 0u);
  EXPECT_GT(vm->table->Read(0).steal_ns, 0u);
  EXPECT_GT(vm->table->Read(0).preemptions, 0u);
  first.Sleep(true);
  EXPECT_TRUE(AwaitState(*vm, 0, LOCKHOST_RUN_STATE_EXITED));
}

TEST_P(RegistrationTest, EndedThreadIsCleared) {
  auto ending = std::make_unique<Spinner>("plain");
  Spinner staying("plain");
  const auto vm = Register({ending->tid(), staying.tid()});
  ASSERT_TRUE(vm.ok()) << vm.status();
  Demand(*vm);
  ASSERT_TRUE(Eventually([&] { return vm->table->Read(0).revision() > 1; }));
  const uint64_t revision = vm->table->Read(0).revision();
  ending.reset();
  EXPECT_TRUE(AwaitState(*vm, 0, LOCKHOST_RUN_STATE_UNSPECIFIED));
  EXPECT_GT(vm->table->Read(0).revision(), revision);
  EXPECT_TRUE(AwaitState(*vm, 1, LOCKHOST_RUN_STATE_RUNNING));
}

TEST_P(RegistrationTest, LaterRegistrationReplacesTheEarlier) {
  Spinner first("plain");
  Spinner second("plain");
  const auto vm = Register({first.tid(), second.tid()});
  ASSERT_TRUE(vm.ok()) << vm.status();
  Demand(*vm);
  ASSERT_TRUE(AwaitState(*vm, 0, LOCKHOST_RUN_STATE_RUNNING));
  ASSERT_TRUE(AwaitState(*vm, 1, LOCKHOST_RUN_STATE_RUNNING));
  const auto again = Register({0, first.tid()});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->message.vm_id, vm->message.vm_id);
  EXPECT_TRUE(AwaitState(*vm, 0, LOCKHOST_RUN_STATE_UNSPECIFIED));
  const uint64_t revision = vm->table->Read(1).revision();
  EXPECT_TRUE(Eventually([&] { return vm->table->Read(1).revision() > revision + 5; }));
  EXPECT_EQ(vm->table->Read(0).run_state(), LOCKHOST_RUN_STATE_UNSPECIFIED);
  second.Sleep(true);
  EXPECT_TRUE(AwaitState(*vm, 1, LOCKHOST_RUN_STATE_RUNNING));
}

TEST_P(RegistrationTest, ThreadsOfOthersAreRefused) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Register({1}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Register({getpid(), 1}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Register({4'000'000}).status()));
}

TEST_P(RegistrationTest, VmEndsWithItsProcess) {
  ASSERT_TRUE(client_->Subscribe().ok());
  const pid_t child = fork();
  if (child == 0) {
    auto own = AgentClient::Connect(runner_->socket());
    const pid_t tid = gettid();
    if (!own.ok() || !own->RegisterVcpus({&tid, 1}).ok()) _exit(1);
    for (;;) pause();
  }
  uint64_t vm_id = 0;
  EXPECT_TRUE(Eventually([&] {
    auto event = client_->Await(std::chrono::milliseconds(100));
    const auto* vm = event.ok() ? std::get_if<VmEvent>(&*event) : nullptr;
    if (vm == nullptr || vm->message.pid != child) return false;
    vm_id = vm->message.vm_id;
    return true;
  }));
  kill(child, SIGKILL);
  const auto killed = std::chrono::steady_clock::now();
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(Eventually([&] {
    auto event = client_->Await(std::chrono::milliseconds(100));
    const auto* gone = event.ok() ? std::get_if<VmGoneEvent>(&*event) : nullptr;
    return gone != nullptr && gone->message.vm_id == vm_id;
  }));
  EXPECT_LT(std::chrono::steady_clock::now() - killed, std::chrono::seconds(5));
}

TEST_P(RegistrationTest, AnotherProcessMaySetNoReportRegionOfThisVm) {
  Spinner thread("plain");
  const auto vm = Register({thread.tid()});
  ASSERT_TRUE(vm.ok()) << vm.status();
  EXPECT_EQ(InChild(0,
                    [&] {
                      auto other = AgentClient::Connect(runner_->socket());
                      if (!other.ok()) return 1;
                      if (!other->SetReportRegion(vm->message.vm_id, 0x1000, 1).ok()) return 2;
                      const auto answer = other->Await(kPatience);
                      return answer.ok() && std::holds_alternative<ErrorEvent>(*answer) ? 0 : 3;
                    }),
            0);
}

TEST_P(RegistrationTest, SoManyProcessesMayRegisterAndNoMore) {
  auto runner = AgentRunner::Start({.source = GetParam(), .registered_vms = 1});
  ASSERT_TRUE(runner.ok()) << runner.status();
  const auto register_own = [&] {
    auto own = AgentClient::Connect((*runner)->socket());
    const pid_t tid = gettid();
    if (!own.ok() || !own->RegisterVcpus({&tid, 1}).ok()) return 1;
    const auto answer = own->Await(kPatience);
    if (!answer.ok()) return 2;
    return std::holds_alternative<VmEvent>(*answer) ? 0 : 3;
  };
  ASSERT_EQ(register_own(), 0);
  EXPECT_EQ(register_own(), 0) << "a VM that is there is no new one";
  EXPECT_EQ(InChild(0, register_own), 3);
}

INSTANTIATE_TEST_SUITE_P(Sources, RegistrationTest, testing::Values("bpf", "procfs"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lockhost::agent
