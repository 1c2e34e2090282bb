// SPDX-License-Identifier: Apache-2.0

// A source that fails at work: the agent goes on with the next one.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/spinner.h"

namespace lockhost::agent {
namespace {

// A real source, but for polls that fail when the test says so.
class Failing : public Source {
 public:
  Failing(std::unique_ptr<Source> real, const std::atomic<bool>* fails)
      : real_(std::move(real)), fails_(fails) {}

  absl::StatusOr<std::vector<VmSighting>> Poll() override {
    if (*fails_) return absl::InternalError("broken on purpose");
    return real_->Poll();
  }

  SourceKind kind() const override { return real_->kind(); }
  int hint_ring_fd() const override { return real_->hint_ring_fd(); }
  int interest_fd() const override { return real_->interest_fd(); }
  int event_fd() const override { return real_->event_fd(); }
  std::chrono::milliseconds poll_interval() override { return real_->poll_interval(); }
  bool outlives_agent() const override { return real_->outlives_agent(); }
  std::vector<VmRecord> Adopted() override { return real_->Adopted(); }
  absl::Status AddVm(const VmRecord& record) override { return real_->AddVm(record); }
  void RemoveVm(const VmRecord& record) override { real_->RemoveVm(record); }
  int TableFd(const VmRecord& record) override { return real_->TableFd(record); }
  VcpuCounts Counts(const VmRecord& record) override { return real_->Counts(record); }
  void SetMode(const VmRecord& record, lockhost_mode mode) override {
    real_->SetMode(record, mode);
  }
  absl::Status SetReportRegion(const VmRecord& record, uint64_t address,
                               uint32_t slot_count) override {
    return real_->SetReportRegion(record, address, slot_count);
  }
  bool ReportsReadable(const VmRecord& record) override { return real_->ReportsReadable(record); }
  absl::Status SetVcpuThreads(const VmRecord& record, std::span<const int32_t> tids) override {
    return real_->SetVcpuThreads(record, tids);
  }
  std::vector<SourceCounter> Counters() override { return real_->Counters(); }

 private:
  std::unique_ptr<Source> real_;
  const std::atomic<bool>* fails_;
};

class NextSourceTest : public testing::Test {
 protected:
  void Start(const std::string& source) {
    if (!WatchFromLastCpu()) GTEST_SKIP() << "one CPU alone";
    AgentOptions options;
    options.source = source;
    options.wrap_source = [this](std::unique_ptr<Source> real) {
      return std::make_unique<Failing>(std::move(real), &fails_);
    };
    auto runner = AgentRunner::Start(options);
    if (!runner.ok()) GTEST_SKIP() << runner.status().message();
    runner_ = *std::move(runner);
    auto client = AgentClient::Connect(runner_->socket());
    ASSERT_TRUE(client.ok() && client->Subscribe().ok());
    client_ = std::make_unique<AgentClient>(*std::move(client));
  }

  // Until the agent has told of this process's VM, and of a source if `kind` is given.
  bool Await(SourceKind kind, uint64_t other_generation_than) {
    return Eventually([&] {
      auto event = client_->Await(std::chrono::milliseconds(100));
      if (!event.ok()) return false;
      if (auto* source = std::get_if<SourceEvent>(&*event)) source_ = source->message;
      auto* vm = std::get_if<VmEvent>(&*event);
      if (vm != nullptr && vm->message.pid == getpid()) {
        vm_ = {vm->message, *TableReader::Attach(vm->table.get())};
      }
      return source_.source == kind && vm_.table != nullptr &&
             vm_.message.generation != other_generation_than;
    });
  }

  std::atomic<bool> fails_ = false;
  Spinner vcpu_{"lab-vcpu 0"};
  std::unique_ptr<AgentRunner> runner_;
  std::unique_ptr<AgentClient> client_;
  SourceMessage source_{};
  ClientVm vm_;
};

TEST_F(NextSourceTest, ItsVmsGoOnWithNewTables) {
  Start("perf");
  if (IsSkipped() || HasFatalFailure()) return;
  ASSERT_TRUE(Await(SourceKind::kPerf, 0));
  const ClientVm before = std::exchange(vm_, {});
  fails_ = true;
  ASSERT_TRUE(Await(SourceKind::kProcfs, before.message.generation));
  EXPECT_NE(std::string(FieldText(source_.reason)).find("perf: broken on purpose"),
            std::string::npos)
      << FieldText(source_.reason);
  EXPECT_EQ(vm_.message.vm_id, before.message.vm_id);
  EXPECT_EQ(vm_.message.vm_index, before.message.vm_index);
  EXPECT_EQ(before.table->generation(), 0u) << "the old table says no hint";
  EXPECT_EQ(before.table->Read(0).run_state(), LOCKHOST_RUN_STATE_UNSPECIFIED);
  EXPECT_TRUE(
      Eventually([&] { return vm_.table->Read(0).run_state() == LOCKHOST_RUN_STATE_RUNNING; }));
}

TEST_F(NextSourceTest, WithNoneLeftTheAgentGoesOnTrying) {
  Start("procfs");
  if (IsSkipped() || HasFatalFailure()) return;
  ASSERT_TRUE(Await(SourceKind::kProcfs, 0));
  fails_ = true;
  vcpu_.Sleep(true);
  poll(nullptr, 0, 1000);  // as long as several polls take
  fails_ = false;
  EXPECT_TRUE(
      Eventually([&] { return vm_.table->Read(0).run_state() == LOCKHOST_RUN_STATE_EXITED; }));
  EXPECT_NE(vm_.table->generation(), 0u);
}

}  // namespace
}  // namespace lockhost::agent
