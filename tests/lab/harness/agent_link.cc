// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/agent_link.h"

#include <cstring>
#include <thread>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace lockhost::lab {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollInterval{5};
constexpr std::chrono::seconds kDiscoveryTimeout{20};
constexpr std::chrono::seconds kAnswerTimeout{30};

std::string NameOf(agent::SourceKind kind) {
  switch (kind) {
    case agent::SourceKind::kBpf:
      return "bpf";
    case agent::SourceKind::kPerf:
      return "perf";
    case agent::SourceKind::kProcfs:
      return "procfs";
    case agent::SourceKind::kUnspecified:
      break;
  }
  return "none";
}

}  // namespace

absl::StatusOr<SourceFacts> AskSource(const std::string& socket_path) {
  absl::StatusOr<agent::AgentClient> client = agent::AgentClient::Connect(socket_path);
  if (!client.ok()) return client.status();
  if (absl::Status asked = client->Subscribe(); !asked.ok()) return asked;
  absl::StatusOr<agent::AgentEvent> event = client->Await(kAnswerTimeout);
  if (!event.ok()) return event.status();
  const auto* source = std::get_if<agent::SourceEvent>(&*event);
  if (source == nullptr) return absl::InternalError("the agent did not name its source first");
  const char* reason = source->message.reason;
  return SourceFacts{
      .name = NameOf(source->message.source),
      .reason = std::string(reason, strnlen(reason, sizeof(source->message.reason)))};
}

absl::StatusOr<AgentLink> AgentLink::Connect(const std::string& socket_path,
                                             std::chrono::milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  for (;;) {
    absl::StatusOr<agent::AgentClient> client = agent::AgentClient::Connect(socket_path);
    if (client.ok()) return AgentLink(*std::move(client));
    if (steady_clock::now() >= deadline) return client.status();
    std::this_thread::sleep_for(kPollInterval);
  }
}

// Takes what the agent has said, without waiting.
absl::Status AgentLink::Drain() {
  for (;;) {
    absl::StatusOr<std::optional<agent::AgentEvent>> event = client_.Receive();
    if (!event.ok()) return event.status();
    if (!event->has_value()) return absl::OkStatus();
    if (auto* vm = std::get_if<agent::VmEvent>(&**event)) {
      vm_ = vm->message;
      if (vm->table.valid()) table_ = std::move(vm->table);
    } else if (auto* error = std::get_if<agent::ErrorEvent>(&**event)) {
      refusal_ = error->text;
    }
  }
}

absl::Status AgentLink::AwaitVm(Runner& runner) {
  absl::Status heard = absl::OkStatus();
  const absl::Status seen = runner.Busy(kDiscoveryTimeout, [&] {
    heard = Drain();
    return !heard.ok() || !refusal_.empty() || table_.valid();
  });
  if (!heard.ok()) return heard;
  if (!refusal_.empty()) return absl::InternalError(absl::StrCat("the agent refused: ", refusal_));
  return seen;
}

absl::Status AgentLink::AttachTable(Machine& machine, Runner& runner, Pages& pages,
                                    bool registered) {
  absl::Status done =
      registered ? client_.RegisterVcpus(machine.vcpu_tids()) : client_.RequestOwnTable();
  if (done.ok()) done = AwaitVm(runner);
  if (absl::IsDeadlineExceeded(done)) {
    return absl::DeadlineExceededError("the agent did not find the VM in time");
  }
  if (!done.ok()) return done;
  if (done = pages.AttachTable(table_.get()); !done.ok()) return done;
  done = runner.Busy(kDiscoveryTimeout, [&] { return pages.KnownVcpus() == machine.vcpus(); });
  if (!absl::IsDeadlineExceeded(done)) return done;
  return absl::DeadlineExceededError(absl::StrCat("the agent found ", pages.KnownVcpus(), " of ",
                                                  machine.vcpus(), " vCPUs in time"));
}

absl::Status AgentLink::ShareReports(const SharedMemory& reports, uint32_t slots) {
  return SetReportRegion(reinterpret_cast<uint64_t>(reports.data()), slots);
}

absl::Status AgentLink::WithdrawReports() { return SetReportRegion(0, 0); }

absl::Status AgentLink::SetReportRegion(uint64_t address, uint32_t slots) {
  absl::Status sent = client_.SetReportRegion(vm_.vm_id, address, slots);
  if (!sent.ok()) return sent;
  absl::Status answer = AwaitAnswer();
  return absl::IsFailedPrecondition(answer) ? absl::OkStatus() : answer;
}

absl::Status AgentLink::SetBoost(bool enabled) {
  absl::Status sent = client_.SetBoost(vm_.vm_id, enabled);
  return sent.ok() ? AwaitAnswer() : sent;
}

absl::Status AgentLink::AwaitAnswer() {
  const auto deadline = steady_clock::now() + kAnswerTimeout;
  while (steady_clock::now() < deadline) {
    absl::StatusOr<agent::AgentEvent> event = client_.Await(kAnswerTimeout);
    if (!event.ok()) return event.status();
    if (std::holds_alternative<agent::AckEvent>(*event)) return absl::OkStatus();
    if (const auto* error = std::get_if<agent::ErrorEvent>(&*event)) {
      return absl::FailedPreconditionError(error->text);
    }
    if (auto* vm = std::get_if<agent::VmEvent>(&*event)) vm_ = vm->message;
  }
  return absl::DeadlineExceededError("the agent did not answer");
}

}  // namespace lockhost::lab
