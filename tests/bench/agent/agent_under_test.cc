// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/agent/agent_under_test.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <utility>
#include <variant>

#include "agent/kernel/procfs.h"
#include "tests/agent/support/eventually.h"

namespace lockhost::bench {

absl::StatusOr<std::unique_ptr<AgentUnderTest>> AgentUnderTest::Start(
    const std::string& source, const std::vector<std::string>& more_arguments) {
  std::unique_ptr<AgentUnderTest> test(new AgentUnderTest);
  const std::string socket = test->socket();
  std::vector<std::string> arguments = {"--socket=" + socket, "--pin-dir=", "--source=" + source};
  arguments.insert(arguments.end(), more_arguments.begin(), more_arguments.end());
  test->process_ =
      std::make_unique<agent::AgentProcess>(arguments, test->directory_.path() + "/log");
  const bool listens = agent::Eventually([&] { return agent::AgentClient::Connect(socket).ok(); },
                                         std::chrono::seconds(5));
  if (!listens) return absl::FailedPreconditionError("source " + source + " cannot be had here");
  auto client = agent::AgentClient::Connect(socket);
  if (!client.ok()) return client.status();
  test->client_ = std::make_unique<agent::AgentClient>(*std::move(client));
  if (absl::Status asked = test->client_->Subscribe(); !asked.ok()) return asked;
  auto first = test->client_->Await(agent::kPatience);
  if (!first.ok()) return first.status();
  auto& event = std::get<agent::SourceEvent>(*first);
  test->interest_ = std::move(event.interest);
  if (event.stats.valid()) {
    auto stats = agent::StatsReader::Attach(event.stats.get());
    if (!stats.ok()) return stats.status();
    test->stats_ = *std::move(stats);
  }
  return test;
}

absl::Status AgentUnderTest::Demand(uint64_t vm_id) {
  const auto vm = vms_.find(vm_id);
  if (vm == vms_.end()) return absl::NotFoundError("no such VM");
  constexpr size_t kBytes = sizeof(agent::InterestEntry) * agent::kMaxVms;
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, interest_.get(), 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "map the interest table");
  auto& entry = static_cast<agent::InterestEntry*>(memory)[vm->second.vm_index];
  std::atomic_ref(entry.vm_id).store(vm_id);
  std::atomic_ref(entry.demand_until_ns).store(UINT64_MAX);
  munmap(memory, kBytes);
  return absl::OkStatus();
}

uint64_t RunNs(pid_t pid) {
  const auto procfs = agent::Procfs::Open();
  uint64_t sum = 0;
  for (const pid_t tid : procfs->Threads(pid)) {
    const UniqueFd file = procfs->OpenThreadFile(pid, tid, "schedstat");
    const auto schedstat = agent::ParseSchedstat(agent::ReadAgain(file));
    if (schedstat) sum += schedstat->run_ns;
  }
  return sum;
}

void AgentUnderTest::Listen() {
  for (auto event = client_->Receive(); event.ok() && event->has_value();
       event = client_->Receive()) {
    if (auto* vm = std::get_if<agent::VmEvent>(&**event)) {
      auto table = agent::TableReader::Attach(vm->table.get());
      if (!table.ok()) continue;
      vms_[vm->message.vm_id] = {vm->message.vm_id, vm->message.vm_index, vm->message.pid,
                                 *std::move(table)};
    } else if (auto* gone = std::get_if<agent::VmGoneEvent>(&**event)) {
      vms_.erase(gone->message.vm_id);
    }
  }
}

const AgentUnderTest::Vm* AgentUnderTest::FindVm(pid_t pid) {
  Listen();
  for (const auto& [vm_id, vm] : vms_) {
    if (vm.pid == pid) return &vm;
  }
  return nullptr;
}

}  // namespace lockhost::bench
