// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/support/register_threads.h"

#include <variant>

#include "agent/channel/agent_client.h"
#include "tests/agent/support/eventually.h"

namespace lockhost::agent {

absl::Status RegisterThreads(const TinyVm& vm, const std::string& agent_socket) {
  if (vm.is_kvm()) return absl::OkStatus();
  auto agent = AgentClient::Connect(agent_socket);
  if (!agent.ok()) return agent.status();
  if (absl::Status asked = agent->RegisterVcpus(vm.VcpuThreads()); !asked.ok()) return asked;
  const auto answer = agent->Await(kPatience);
  if (!answer.ok()) return answer.status();
  const auto* error = std::get_if<ErrorEvent>(&*answer);
  return error == nullptr ? absl::OkStatus() : absl::FailedPreconditionError(error->text);
}

}  // namespace lockhost::agent
