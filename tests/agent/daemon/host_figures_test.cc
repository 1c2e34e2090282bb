// SPDX-License-Identifier: Apache-2.0

// What a running agent writes on its host page about VMs: real ones or, where there is no
// KVM, VMs of threads.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <string>

#include "agent/channel/packet.h"
#include "agent/table/host_page.h"
#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/vmm_process.h"

namespace lockhost::agent {
namespace {

class HostFiguresTest : public testing::Test {
 protected:
  void SetUp() override {
    auto runner = AgentRunner::Start({.source = "bpf"});
    if (!runner.ok()) GTEST_SKIP() << runner.status().message();
    runner_ = *std::move(runner);
    client_ = std::make_unique<AgentClient>(*AgentClient::Connect(runner_->socket()));
    ASSERT_TRUE(client_->Subscribe().ok());
    auto event = client_->Await(kPatience);
    ASSERT_TRUE(event.ok()) << event.status();
    page_ = *HostPageReader::Attach(std::get<SourceEvent>(*event).host_page.get());
    cpus_ = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  }

  bool Start(int vcpus) {
    auto vmm = VmmProcess::Start(vcpus, VmmProcess::Guest::kHalts, std::chrono::milliseconds(5),
                                 VmmProcess::Backend::kAny);
    EXPECT_TRUE(vmm.ok()) << vmm.status();
    if (!vmm.ok()) return false;
    vmm_ = *std::move(vmm);
    const absl::Status told = vmm_->RegisterWith(runner_->socket());
    EXPECT_TRUE(told.ok()) << told;
    return Eventually([&] { return FindVm(); });
  }
  // Its id, once the agent has told of it.
  bool FindVm() {
    for (auto event = client_->Receive(); event.ok() && event->has_value();
         event = client_->Receive()) {
      const auto* vm = std::get_if<VmEvent>(&**event);
      if (vm != nullptr && vm->message.pid == vmm_->pid()) vm_id_ = vm->message.vm_id;
    }
    return vm_id_ != 0;
  }
  VmFigures Vm() const {
    const auto figures = page_->Read();
    if (figures == nullptr) return {};
    const auto* vm = std::find_if(std::begin(figures->vms), std::end(figures->vms),
                                  [&](const VmFigures& each) { return each.vm_id == vm_id_; });
    return vm == std::end(figures->vms) ? VmFigures{} : *vm;
  }

  std::unique_ptr<AgentRunner> runner_;
  std::unique_ptr<AgentClient> client_;
  std::unique_ptr<HostPageReader> page_;
  std::unique_ptr<VmmProcess> vmm_;
  uint64_t vm_id_ = 0;
  int cpus_ = 0;
};

TEST_F(HostFiguresTest, TellsOfTheHostAndOfItself) {
  ASSERT_TRUE(Eventually([&] { return page_->Read()->updated_at_ns != 0; }));
  const auto figures = page_->Read();
  EXPECT_EQ(figures->online_cpus, static_cast<uint32_t>(cpus_));
  const HostFigures::Counter* begin = figures->counters;
  const HostFigures::Counter* end = begin + figures->counter_count;
  for (const char* id : {"hint_events_lost", "channel_accepted", "kvm_stats_taken"}) {
    EXPECT_NE(std::find_if(begin, end, [&](const auto& each) { return FieldText(each.id) == id; }),
              end)
        << id;
  }
}

TEST_F(HostFiguresTest, MoreVcpusThanCpusAreOvercommitted) {
  ASSERT_TRUE(Start(cpus_ + 1));
  EXPECT_TRUE(Eventually([&] { return Vm().mode == LOCKHOST_MODE_OVERCOMMITTED; }));
  EXPECT_TRUE(Eventually([&] { return Vm().live_vcpus == static_cast<uint32_t>(cpus_ + 1); }));
}

TEST_F(HostFiguresTest, TellsWhatKvmItselfCounts) {
  ASSERT_TRUE(Start(1));
  if (!vmm_->is_kvm()) GTEST_SKIP() << "no KVM here that counts";
  const auto at = std::find(kKvmStatNames.begin(), kKvmStatNames.end(), "exits");
  const auto exits = [&] {
    const VmFigures vm = Vm();
    return vm.vm_id == 0 ? kNotKnown
                         : vm.kvm_stats[static_cast<size_t>(at - kKvmStatNames.begin())];
  };
  ASSERT_TRUE(Eventually([&] { return exits() != kNotKnown; }));
  EXPECT_GT(exits(), 0u);
}

TEST_F(HostFiguresTest, AVmThatHasGoneIsNoLongerThere) {
  ASSERT_TRUE(Start(1));
  ASSERT_TRUE(Eventually([&] { return Vm().vm_id == vm_id_; }));
  vmm_->Kill();
  EXPECT_TRUE(Eventually([&] { return Vm().vm_id == 0; }));
}

}  // namespace
}  // namespace lockhost::agent
