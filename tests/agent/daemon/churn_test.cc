// SPDX-License-Identifier: Apache-2.0

// VMs that come and are killed at random moments: the agent forgets every one of them,
// reports no thread that is not theirs, and keeps nothing. Where there is no KVM they are made
// of threads, and may be killed before, while and after they are registered.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "agent/table/stats_reader.h"
#include "tests/agent/support/agent_process.h"
#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/temp_dir.h"
#include "tests/agent/support/vmm_process.h"

namespace lockhost::agent {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kVms = LOCKHOST_CHURN_VMS;
constexpr size_t kAtOnce = 6;

class ChurnTest : public testing::Test {
 protected:
  void SetUp() override {
    if (getuid() != 0) GTEST_SKIP() << "needs root for BPF";
    if (const absl::Status bpf = CheckBpfSource(); !bpf.ok()) GTEST_SKIP() << bpf.message();
    agent_ = std::make_unique<AgentProcess>(
        std::vector<std::string>{"--socket=" + socket(), "--pin-dir=", "--source=bpf"},
        directory_.path() + "/log");
    ASSERT_TRUE(Eventually([&] { return AgentClient::Connect(socket()).ok(); }));
    client_ = std::make_unique<AgentClient>(*AgentClient::Connect(socket()));
    ASSERT_TRUE(client_->Subscribe().ok());
    auto event = client_->Await(kPatience);
    ASSERT_TRUE(event.ok()) << event.status();
    stats_ = *StatsReader::Attach(std::get<SourceEvent>(*event).stats.get());
  }

  std::string socket() const { return directory_.path() + "/agent.sock"; }

  size_t Descriptors() const {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(agent_->pid()) + "/fd");
    return static_cast<size_t>(std::distance(begin(all), end(all)));
  }

  // What the agent holds open when nothing goes on; it makes its spare tables after its start.
  size_t SettledDescriptors() const {
    size_t count = Descriptors();
    auto since = steady_clock::now();
    Eventually([&] {
      if (const size_t now = Descriptors(); now != count) {
        count = now;
        since = steady_clock::now();
      }
      return steady_clock::now() - since > milliseconds(500);
    });
    return count;
  }

  // Takes what the agent has said meanwhile.
  void Listen() {
    for (auto event = client_->Receive(); event.ok() && event->has_value();
         event = client_->Receive()) {
      if (auto* vm = std::get_if<VmEvent>(&**event)) {
        auto table = TableReader::Attach(vm->table.get());
        if (table.ok()) told_[vm->message.vm_id] = {vm->message, *std::move(table)};
      } else if (auto* gone = std::get_if<VmGoneEvent>(&**event)) {
        told_.erase(gone->message.vm_id);
      }
    }
  }
  const ClientVm* Told(pid_t pid) {
    Listen();
    for (const auto& [id, vm] : told_) {
      if (vm.message.pid == pid) return &vm;
    }
    return nullptr;
  }

  // No vCPU that the VM does not have.
  static void ExpectNoStranger(const ClientVm& vm, uint32_t vcpus) {
    for (uint32_t id = vcpus; id < vm.table->slot_count(); ++id) {
      ASSERT_EQ(vm.table->ReadStateWord(id), 0u) << "vCPU " << id << " of " << vcpus;
    }
  }

  struct Running {
    std::unique_ptr<VmmProcess> vmm;
    uint32_t vcpus;
    bool spins;
  };
  void StartOne() {
    const bool large = started_ % 40 == 19;
    const int vcpus = large ? 64 : 1 + static_cast<int>(random_() % 3);
    // One spinner at a time: more would keep the kernel's own workers from making VMs.
    const bool spins = vcpus == 1 && std::none_of(running_.begin(), running_.end(),
                                                  [](const Running& vm) { return vm.spins; });
    auto vmm =
        VmmProcess::Start(vcpus, spins ? VmmProcess::Guest::kSpins : VmmProcess::Guest::kHalts,
                          microseconds(2000 + random_() % 8000), VmmProcess::Backend::kAny);
    ASSERT_TRUE(vmm.ok()) << vmm.status();
    ASSERT_TRUE((*vmm)->BeginRegistration(socket()).ok());
    running_.push_back({*std::move(vmm), static_cast<uint32_t>(vcpus), spins});
    ++started_;
  }
  void KillOne() {
    const size_t victim = random_() % running_.size();
    const pid_t pid = running_[victim].vmm->pid();
    if (const ClientVm* vm = Told(pid)) ExpectNoStranger(*vm, running_[victim].vcpus);
    running_[victim].vmm->Kill();
    running_.erase(running_.begin() + static_cast<ptrdiff_t>(victim));
    ASSERT_TRUE(Eventually([&] { return Told(pid) == nullptr; })) << "a ghost of pid " << pid;
  }
  bool OwnRecordsLeft() const {
    const auto places = stats_->Places();
    return std::any_of(places.begin(), places.end(),
                       [&](const auto& place) { return seen_.contains(place.vm_id); });
  }

  TempDir directory_;
  std::unique_ptr<AgentProcess> agent_;
  std::unique_ptr<AgentClient> client_;
  std::unique_ptr<StatsReader> stats_;
  std::map<uint64_t, ClientVm> told_;
  std::map<uint64_t, pid_t> seen_;  // VMs of ours that the agent ever told of
  std::vector<Running> running_;
  std::mt19937 random_{20261121};
  int started_ = 0;
};

TEST_F(ChurnTest, LeavesNoGhostNoStrangerAndNoLeak) {
  const size_t descriptors = SettledDescriptors();
  while (started_ < kVms || !running_.empty()) {
    if (started_ < kVms && running_.size() < kAtOnce) {
      StartOne();
      if (HasFatalFailure()) return;
      const pid_t pid = running_.back().vmm->pid();
      // Every second one is killed before anybody can have heard of it.
      if (started_ % 2 == 0) {
        ASSERT_TRUE(Eventually([&] { return Told(pid) != nullptr; })) << "never told of";
        seen_[Told(pid)->message.vm_id] = pid;
      }
    }
    if (running_.size() == kAtOnce || started_ == kVms || random_() % 3 == 0) KillOne();
    if (HasFatalFailure()) return;
  }
  EXPECT_TRUE(Eventually([&] { return Descriptors() <= descriptors; }))
      << Descriptors() << " descriptors, " << descriptors << " at the start";
  EXPECT_TRUE(Eventually([&] { return !OwnRecordsLeft(); }));
}

}  // namespace
}  // namespace lockhost::agent
