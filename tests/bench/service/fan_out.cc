// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/service/fan_out.h"

#include <unistd.h>

#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/scheduling.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/temp_dir.h"
#include "tests/agent/support/vmm_process.h"
#include "tests/bench/agent/agent_under_test.h"
#include "tests/lab/harness/child_process.h"
#include "tests/load/support/hint_clients.h"
#include "tests/load/support/history.h"

namespace lockhost::bench {
namespace {

using agent::Eventually;
using agent::VmmProcess;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kWarmUp{2};
constexpr std::chrono::seconds kPatience{60};

// The number behind `key` in /proc/PID/status.
uint64_t StatusOf(pid_t pid, const std::string& key) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stoull(line.substr(key.size()));
  }
  return 0;
}

class FanOutRun {
 public:
  explicit FanOutRun(const FanOutPlan& plan)
      : plan_(plan),
        clients_({}, {.on_message = [this](size_t guest, const v1::WatchHintsResponse& message,
                                           uint64_t received_ns) {
                   OnMessage(guest, message, received_ns);
                 }}) {}

  absl::StatusOr<FanOut> Run() {
    absl::Status ready = Start();
    if (ready.ok()) ready = Grow(1);
    Serve(kWarmUp);  // gRPC makes some of its threads late
    found_.server_threads_with_one_guest = static_cast<int>(StatusOf(server_.pid(), "Threads:"));
    if (ready.ok()) ready = Grow(plan_.guests);
    if (!ready.ok()) return ready;
    Serve(kWarmUp);
    if (absl::Status measured = Measure(); !measured.ok()) return measured;
    return found_;
  }

 private:
  absl::Status Start() {
    auto agent = AgentUnderTest::Start("bpf", {absl::StrCat("--registered_vms=", agent::kMaxVms)});
    if (!agent.ok()) return agent.status();
    agent_ = *std::move(agent);
    auto server = lab::ChildProcess::Start(
        {.name = "lockhostd",
         .argv = {LOCKHOST_SERVER_PROGRAM, "--agent-socket=" + agent_->socket(),
                  "--run-dir=" + directory_.path(), "--metrics-address="},
         .user = std::nullopt,
         .inherited_fds = {},
         .log_path = directory_.path() + "/lockhostd.log"});
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    return absl::OkStatus();
  }

  // Until there are so many guests, and each has received something.
  absl::Status Grow(int guests) {
    while (vmms_.size() < static_cast<size_t>(guests)) {
      auto vmm = VmmProcess::Start(plan_.vcpus_each, VmmProcess::Guest::kHalts, plan_.tick,
                                   VmmProcess::Backend::kAny);
      if (!vmm.ok()) return vmm.status();
      vmms_.push_back(*std::move(vmm));
      if (absl::Status told = vmms_.back()->RegisterWith(agent_->socket()); !told.ok()) return told;
    }
    for (size_t i = vm_ids_.size(); i < vmms_.size(); ++i) {
      if (absl::Status added = AddGuest(vmms_[i]->pid()); !added.ok()) return added;
    }
    const auto give_up = steady_clock::now() + kPatience;
    clients_.Run([&] { return clients_.live() == vmms_.size() || steady_clock::now() > give_up; });
    if (absl::Status alive = server_.Check(); !alive.ok()) return alive;
    if (clients_.live() == vmms_.size()) return absl::OkStatus();
    return absl::DeadlineExceededError(
        absl::StrCat(clients_.live(), " of ", vmms_.size(), " guests have streams"));
  }

  absl::Status AddGuest(pid_t pid) {
    const AgentUnderTest::Vm* vm = nullptr;
    std::string socket;
    const bool served = Eventually(
        [&] {
          vm = agent_->FindVm(pid);
          if (vm == nullptr) return false;
          socket = absl::StrCat(directory_.path(), "/vm/", vm->vm_id, ".sock");
          return access(socket.c_str(), F_OK) == 0;
        },
        kPatience);
    if (!served) return absl::DeadlineExceededError("a VM is not served");
    std::vector<uint32_t> all(static_cast<size_t>(plan_.vcpus_each));
    std::iota(all.begin(), all.end(), 0);
    vm_ids_.push_back(vm->vm_id);
    told_.emplace_back(all.size(), 0);
    clients_.Add({.target = "unix:" + socket, .awaited = std::move(all)});
    return absl::OkStatus();
  }

  void Serve(steady_clock::duration time) {
    const auto end = steady_clock::now() + time;
    clients_.Run([end] { return steady_clock::now() >= end; });
  }

  // As of now: a VM whose facts change has another reader from then on.
  absl::Status TakeTables() {
    agent_->Listen();
    for (const uint64_t vm_id : vm_ids_) {
      const auto vm = agent_->vms().find(vm_id);
      if (vm == agent_->vms().end()) return absl::InternalError("a VM has gone");
      tables_.push_back(vm->second.table.get());
    }
    return absl::OkStatus();
  }

  absl::Status Measure() {
    if (absl::Status taken = TakeTables(); !taken.ok()) return taken;
    measured_from_ns_ = MonotonicClock().now_ns();
    const auto begin = steady_clock::now();
    const uint64_t revisions = Revisions();
    const uint64_t cpu_ns = RunNs(server_.pid());
    Serve(plan_.length);
    const std::chrono::duration<double> passed = steady_clock::now() - begin;
    if (absl::Status alive = server_.Check(); !alive.ok()) return alive;
    found_.guests = plan_.guests;
    found_.vcpus = plan_.guests * plan_.vcpus_each;
    found_.changes_per_second = static_cast<double>(Revisions() - revisions) / passed.count();
    found_.messages_per_second = static_cast<double>(messages_) / passed.count();
    found_.server_cpu_percent =
        static_cast<double>(RunNs(server_.pid()) - cpu_ns) / 1e7 / passed.count();
    found_.server_rss_bytes = StatusOf(server_.pid(), "VmRSS:") * 1024;
    found_.server_threads = static_cast<int>(StatusOf(server_.pid(), "Threads:"));
    return absl::OkStatus();
  }

  uint64_t Revisions() const {
    uint64_t sum = 0;
    for (const agent::TableReader* table : tables_) {
      for (uint32_t vcpu = 0; vcpu < static_cast<uint32_t>(plan_.vcpus_each); ++vcpu) {
        sum += lockhost_revision_of(table->ReadStateWord(vcpu));
      }
    }
    return sum;
  }

  void OnMessage(size_t guest, const v1::WatchHintsResponse& message, uint64_t received_ns) {
    if (measured_from_ns_ == 0) return;
    ++messages_;
    for (const v1::VcpuHint& hint : message.delta().vcpus()) {
      if (hint.vcpu_id() >= told_[guest].size()) continue;
      if (std::exchange(told_[guest][hint.vcpu_id()], hint.revision()) >= hint.revision()) continue;
      const agent::VcpuObservation truth = tables_[guest]->Read(hint.vcpu_id());
      if (!load::IsStopped(truth.run_state()) || truth.revision() != hint.revision() ||
          truth.since_ns < measured_from_ns_) {
        continue;
      }
      found_.delivery_ns.Add(received_ns - truth.since_ns);
    }
  }

  const FanOutPlan plan_;
  agent::TempDir directory_;
  std::unique_ptr<AgentUnderTest> agent_;
  lab::ChildProcess server_;
  std::vector<std::unique_ptr<VmmProcess>> vmms_;
  std::vector<uint64_t> vm_ids_;                   // index: guest
  std::vector<const agent::TableReader*> tables_;  // the same
  std::vector<std::vector<uint64_t>> told_;        // the revision told last, of each vCPU
  uint64_t measured_from_ns_ = 0;
  uint64_t messages_ = 0;
  FanOut found_;
  load::HintClients clients_;
};

}  // namespace

absl::StatusOr<FanOut> MeasureFanOut(const FanOutPlan& plan) {
  // As the guest agent's reader asks; the guests' agents are the measured path's end.
  RequestShortSlice().IgnoreError();
  return FanOutRun(plan).Run();
}

}  // namespace lockhost::bench
