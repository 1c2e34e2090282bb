// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "agent/channel/agent_client.h"
#include "client/cli/commands.h"
#include "client/cli/host_client.h"
#include "client/cli/vm_choice.h"

namespace lockhost::cli {
namespace {

absl::StatusOr<uint64_t> VmIdOf(const Options& options, const std::string& vm) {
  if (vm == "all") return 0;
  const auto client = HostClient::Connect(options.socket, options.deadline);
  if (!client.ok()) return client.status();
  const auto list = (*client)->ListVms(/*include_vcpus=*/false);
  if (!list.ok()) return list.status();
  const auto chosen = ChooseVm(*list, vm);
  if (!chosen.ok()) return chosen.status();
  return chosen->vm_id();
}

}  // namespace

absl::Status BoostCommand(const Options& options, const std::string& vm, bool enabled) {
  const auto vm_id = VmIdOf(options, vm);
  if (!vm_id.ok()) return vm_id.status();
  auto agent = agent::AgentClient::Connect(options.agent_socket);
  if (!agent.ok()) return agent.status();
  if (absl::Status sent = agent->SetBoost(*vm_id, enabled); !sent.ok()) return sent;
  const auto answer = agent->Await(options.deadline);
  if (!answer.ok()) return answer.status();
  if (const auto* error = std::get_if<agent::ErrorEvent>(&*answer)) {
    return absl::FailedPreconditionError(error->text);
  }
  return absl::OkStatus();
}

}  // namespace lockhost::cli
