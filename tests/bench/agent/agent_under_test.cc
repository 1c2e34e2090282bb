// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/agent/agent_under_test.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "tests/agent/support/eventually.h"

namespace lockhost::bench {

absl::StatusOr<std::unique_ptr<AgentUnderTest>> AgentUnderTest::Start(const std::string& source) {
  std::unique_ptr<AgentUnderTest> test(new AgentUnderTest);
  const std::string socket = test->directory_.path() + "/agent.sock";
  test->process_ = std::make_unique<agent::AgentProcess>(
      std::vector<std::string>{"--socket=" + socket, "--pin-dir=", "--source=" + source},
      test->directory_.path() + "/log");
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
  if (event.stats.valid()) {
    auto stats = agent::StatsReader::Attach(event.stats.get());
    if (!stats.ok()) return stats.status();
    test->stats_ = *std::move(stats);
  }
  return test;
}

void AgentUnderTest::Listen() {
  for (auto event = client_->Receive(); event.ok() && event->has_value();
       event = client_->Receive()) {
    if (auto* vm = std::get_if<agent::VmEvent>(&**event)) {
      auto table = agent::TableReader::Attach(vm->table.get());
      if (!table.ok()) continue;
      vms_[vm->message.vm_id] = {vm->message.vm_id, vm->message.pid, *std::move(table)};
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
