// SPDX-License-Identifier: Apache-2.0

// The program itself: what is pinned outlives it, and the next one takes it over. In a
// BPF file system that the test mounts for itself alone; where there is no KVM threads stand
// in for vCPUs.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "agent/channel/agent_client.h"
#include "agent/table/table_reader.h"
#include "client/page/report_page.h"
#include "tests/agent/support/agent_process.h"
#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/keep_registered.h"
#include "tests/agent/support/register_threads.h"
#include "tests/agent/support/spinner.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {
namespace {

namespace fs = std::filesystem;

class RestartTest : public testing::Test {
 protected:
  void SetUp() override {
    if (getuid() != 0) GTEST_SKIP() << "needs root for BPF and mounts";
    if (!WatchFromLastCpu()) GTEST_SKIP() << "one CPU alone";
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "no mount namespace of its own";
    }
    bpffs_ = directory_.path() + "/bpf";
    mkdir(bpffs_.c_str(), 0700);
    if (mount("bpf", bpffs_.c_str(), "bpf", 0, nullptr) != 0) GTEST_SKIP() << "no bpffs";
    if (const absl::Status bpf = CheckBpfSource(); !bpf.ok()) GTEST_SKIP() << bpf.message();
    pins_ = bpffs_ + "/lockhost";
    auto vm = TinyVm::CreateAny(2);
    ASSERT_TRUE(vm.ok()) << vm.status();
    vm_ = *std::move(vm);
  }
  void TearDown() override {
    agent_.reset();
    Unpin();
    umount2(bpffs_.c_str(), MNT_DETACH);
  }

  std::string socket() const { return directory_.path() + "/agent.sock"; }
  std::string log() const { return directory_.path() + "/log"; }
  std::string Log() const {
    std::stringstream text;
    text << std::ifstream(log()).rdbuf();
    return text.str();
  }

  void StartAgent(const std::vector<std::string>& more = {}) {
    agent_.reset();
    std::vector<std::string> arguments = {"--socket=" + socket(), "--pin-dir=" + pins_,
                                          "--source=bpf"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    agent_ = std::make_unique<AgentProcess>(arguments, log());
    ASSERT_TRUE(Eventually([&] { return AgentClient::Connect(socket()).ok(); })) << Log();
  }
  int Unpin() { return AgentProcess({"--unpin", "--pin-dir=" + pins_}, log()).Wait(); }

  ClientVm AwaitOwnVm() {
    auto client = AgentClient::Connect(socket());
    EXPECT_TRUE(client.ok() && client->RequestOwnTable().ok());
    auto vm = AwaitVm(*client);
    EXPECT_TRUE(vm.ok()) << vm.status() << Log();
    return vm.ok() ? *std::move(vm) : ClientVm{};
  }
  std::string LayoutFolder() const { return fs::directory_iterator(pins_)->path(); }
  std::string TablesFolder() const { return LayoutFolder() + "/tables"; }

  // The scheduler's changes still reach the table.
  bool IsWritten(const ClientVm& vm) {
    const uint64_t revision = vm.table->Read(0).revision();
    return Eventually([&] { return vm.table->Read(0).revision() > revision + 10; });
  }
  bool SaysNoHint(const ClientVm& vm) {
    return vm.table->Read(0).run_state() == LOCKHOST_RUN_STATE_UNSPECIFIED &&
           vm.table->generation() == 0;
  }
  // For an agent that takes nothing over: it finds a real VM, and must be told of threads.
  void RegisterAnew() {
    const absl::Status registered = RegisterThreads(*vm_, socket());
    ASSERT_TRUE(registered.ok()) << registered << Log();
  }
  // A first agent that knows the running VM.
  ClientVm StartWithVm() {
    StartAgent();
    KeepRegistered(*vm_, socket());
    vm_->StartThread(0);
    vm_->StartThread(1);
    ClientVm seen = AwaitOwnVm();
    EXPECT_TRUE(IsWritten(seen));
    return seen;
  }

  TempDir directory_;
  std::string bpffs_;
  std::string pins_;
  std::unique_ptr<TinyVm> vm_;
  std::unique_ptr<AgentProcess> agent_;
};

TEST_F(RestartTest, KilledAgentsTablesAreWrittenAndTakenOver) {
  const ClientVm before = StartWithVm();
  agent_->End(SIGKILL);
  EXPECT_TRUE(IsWritten(before)) << "with no agent at all";
  StartAgent();
  const ClientVm after = AwaitOwnVm();
  EXPECT_EQ(after.message.vm_id, before.message.vm_id);
  EXPECT_EQ(after.message.vm_index, before.message.vm_index);
  EXPECT_EQ(after.message.generation, before.message.generation);
  EXPECT_EQ(after.message.vcpu_count, 2u);
  EXPECT_EQ(after.table->generation(), before.message.generation);
  EXPECT_TRUE(IsWritten(after));
  EXPECT_TRUE(IsWritten(before)) << "it is one and the same table";
  EXPECT_GE(before.table->Read(0).revision() + 1000, after.table->Read(0).revision());
}

TEST_F(RestartTest, StoppedAgentLeavesThePinsToo) {
  const ClientVm before = StartWithVm();
  EXPECT_EQ(agent_->End(SIGTERM), 0);
  EXPECT_TRUE(IsWritten(before));
  StartAgent();
  EXPECT_EQ(AwaitOwnVm().message.vm_id, before.message.vm_id);
}

TEST_F(RestartTest, VmThatEndedMeanwhileIsCleared) {
  const ClientVm before = StartWithVm();
  agent_->End(SIGKILL);
  vm_->JoinThread(0);
  vm_->JoinThread(1);
  StartAgent();
  EXPECT_TRUE(Eventually([&] { return SaysNoHint(before); })) << Log();
  EXPECT_TRUE(Eventually([&] { return fs::is_empty(TablesFolder()); }));
}

TEST_F(RestartTest, VmThatCameMeanwhileIsFound) {
  if (!vm_->is_kvm()) GTEST_SKIP() << "no KVM here, and threads must be registered to be found";
  StartAgent();
  agent_->End(SIGKILL);
  vm_->StartThread(0);
  vm_->StartThread(1);
  StartAgent();
  EXPECT_TRUE(IsWritten(AwaitOwnVm()));
}

TEST_F(RestartTest, UnpinStopsEverythingAndClearsTables) {
  const ClientVm before = StartWithVm();
  EXPECT_NE(Unpin(), 0) << "an agent is at work";
  EXPECT_TRUE(IsWritten(before));
  agent_->End(SIGKILL);
  EXPECT_EQ(Unpin(), 0) << Log();
  EXPECT_TRUE(SaysNoHint(before));
  EXPECT_FALSE(fs::exists(pins_));
  EXPECT_EQ(Unpin(), 0) << "nothing left: fine";
  EXPECT_TRUE(SaysNoHint(before));
}

TEST_F(RestartTest, AnotherBuildsPinsAreRetired) {
  const ClientVm before = StartWithVm();
  agent_->End(SIGKILL);
  fs::rename(LayoutFolder(), pins_ + "/layout-0123456789abcdef");
  StartAgent();
  RegisterAnew();
  const ClientVm after = AwaitOwnVm();  // by then the old ones are dealt with
  EXPECT_NE(Log().find("another build of the agent had pinned"), std::string::npos) << Log();
  EXPECT_TRUE(SaysNoHint(before));
  EXPECT_GT(after.message.vm_id, before.message.vm_id);
  EXPECT_TRUE(IsWritten(after));
  EXPECT_TRUE(SaysNoHint(before));
}

TEST_F(RestartTest, HalfMadePinsAreMadeAnew) {
  const ClientVm before = StartWithVm();
  agent_->End(SIGKILL);
  fs::remove(LayoutFolder() + "/link_on_exit");
  StartAgent();
  RegisterAnew();
  EXPECT_TRUE(IsWritten(AwaitOwnVm()));
  EXPECT_TRUE(SaysNoHint(before));
}

TEST_F(RestartTest, SecondAgentIsRefused) {
  const ClientVm before = StartWithVm();
  const std::string other = "--socket=" + directory_.path() + "/other.sock";
  EXPECT_EQ(AgentProcess({other, "--pin-dir=" + pins_}, log()).Wait(), 1);
  EXPECT_NE(Log().find("another agent uses"), std::string::npos) << Log();
  EXPECT_EQ(AgentProcess({"--socket=" + socket(), "--pin-dir="}, log()).Wait(), 1);
  EXPECT_NE(Log().find("another agent listens"), std::string::npos) << Log();
  EXPECT_TRUE(IsWritten(before));
}

TEST_F(RestartTest, WithoutABpfFileSystemNothingIsPinned) {
  pins_ = directory_.path() + "/plain";
  const ClientVm before = StartWithVm();
  EXPECT_NE(Log().find("is not on a BPF file system"), std::string::npos) << Log();
  EXPECT_EQ(agent_->End(SIGTERM), 0);
  EXPECT_TRUE(SaysNoHint(before)) << "cleared by an agent that ends in good order";
}

TEST_F(RestartTest, RegisteredThreadsAreTakenOver) {
  StartAgent();
  Spinner first("plain");
  Spinner second("plain");
  auto client = AgentClient::Connect(socket());
  const pid_t tids[] = {first.tid(), second.tid()};
  ASSERT_TRUE(client->RegisterVcpus(tids).ok());
  const auto before = AwaitVm(*client);
  ASSERT_TRUE(before.ok()) << before.status();
  ASSERT_TRUE(IsWritten(*before));
  agent_->End(SIGKILL);
  EXPECT_TRUE(IsWritten(*before));
  StartAgent();
  EXPECT_EQ(AwaitOwnVm().message.vm_id, before->message.vm_id);
  EXPECT_TRUE(IsWritten(*before));
}

TEST_F(RestartTest, ReportRegionIsKept) {
  const ClientVm before = StartWithVm();
  auto client = AgentClient::Connect(socket());
  alignas(64) static char page[LOCKHOST_REPORT_PAGE_BYTES(2)] = {};
  reinterpret_cast<lockhost_report_slot*>(page + 64)->report_word = 3;
  ASSERT_TRUE(
      client->SetReportRegion(before.message.vm_id, reinterpret_cast<uint64_t>(page), 2).ok());
  const auto answer = client->Await(kPatience);
  ASSERT_TRUE(answer.ok() && std::holds_alternative<AckEvent>(*answer));
  agent_->End(SIGKILL);
  StartAgent();
  EXPECT_EQ(AwaitOwnVm().message.reports_readable, 1u);
  EXPECT_TRUE(Eventually([&] { return before.table->Read(0).witness == 3; }));
}

TEST_F(RestartTest, BadFlagsAreErrors) {
  EXPECT_EQ(AgentProcess({"--socket=" + socket(), "--source=crystal-ball"}, log()).Wait(), 1);
  EXPECT_NE(Log().find("no such source: crystal-ball"), std::string::npos);
  EXPECT_EQ(AgentProcess({"--socket=" + socket(), "--server-uid=no-such-user"}, log()).Wait(), 1);
  EXPECT_NE(Log().find("no such user"), std::string::npos);
  EXPECT_EQ(AgentProcess({"--socket=" + socket(), "--registered-vms=257"}, log()).Wait(), 1);
  EXPECT_NE(Log().find("--registered_vms: at most 256"), std::string::npos);
}

}  // namespace
}  // namespace lockhost::agent
