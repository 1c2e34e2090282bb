// SPDX-License-Identifier: Apache-2.0
//
// The answers that no file gives: those of the running agent, and of the kernel itself.
#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "agent/channel/agent_client.h"
#include "agent/channel/packet.h"
#include "agent/doctor/host_facts.h"
#include "agent/doctor/proc_facts.h"
#include "agent/source/bpf_programs.h"
#include "agent/source/choose_source.h"
#include "agent/table/host_page.h"

namespace lockhost::doctor {
namespace {

pid_t PeerOf(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

LoadFacts ReadLoad(const agent::HostFigures& figures) {
  LoadFacts load;
  load.overcommit = figures.overcommit[agent::LoadFigures::kLong];
  load.steal_ratio = figures.load.steal_ratio[agent::LoadFigures::kLong];
  for (const agent::VmFigures& vm : figures.vms) {
    if (vm.vm_id != 0 && vm.mode < load.vms_by_mode.size()) ++load.vms_by_mode[vm.mode];
  }
  return load;
}

BoostFacts ReadBoosts(const agent::HostFigures& figures) {
  BoostFacts boosts;
  boosts.mechanism = agent::FieldText(figures.boost_mechanism);
  boosts.reason = agent::FieldText(figures.boost_reason);
  if (boosts.mechanism == "none") return boosts;
  for (const agent::VmFigures& vm : figures.vms) {
    if (vm.vm_id == 0) continue;
    if (vm.boost.enabled == 0) ++boosts.vms_off;
    if (vm.boost.repays == 0) ++boosts.vms_unpaid;
  }
  return boosts;
}

void ReadHostPage(int host_page, AgentFacts* facts) {
  const auto page = agent::HostPageReader::Attach(host_page);
  const auto figures = page.ok() ? (*page)->Read() : nullptr;
  if (figures == nullptr || figures->updated_at_ns == 0) return;
  facts->load = ReadLoad(*figures);
  facts->boosts = ReadBoosts(*figures);
}

// Takes one event in; true while more are to come.
absl::StatusOr<bool> Take(const agent::AgentEvent& event, AgentFacts* facts) {
  if (const auto* error = std::get_if<agent::ErrorEvent>(&event)) {
    return absl::PermissionDeniedError(error->text);
  }
  if (const auto* source = std::get_if<agent::SourceEvent>(&event)) {
    facts->source = agent::SourceName(source->message.source);
    facts->reason = source->message.reason;
    if (source->host_page.valid()) ReadHostPage(source->host_page.get(), facts);
  } else if (const auto* vm = std::get_if<agent::VmEvent>(&event)) {
    ++facts->vms;
    facts->vcpus += vm->message.vcpu_count;
  }
  return !std::holds_alternative<agent::SyncedEvent>(event);
}

absl::Status Ask(agent::AgentClient* client, std::chrono::milliseconds patience,
                 AgentFacts* facts) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  absl::Status sent = client->Subscribe();
  if (!sent.ok()) return sent;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return absl::DeadlineExceededError("no answer in time");
    const auto event = client->Await(left);
    if (!event.ok()) return event.status();
    const auto more = Take(*event, facts);
    if (!more.ok() || !*more) return more.status();
  }
}

}  // namespace

AgentFacts AskAgent(const Roots& roots, const std::string& socket,
                    std::chrono::milliseconds patience) {
  AgentFacts facts;
  auto client = agent::AgentClient::Connect(socket);
  facts.reached = client.status();
  if (!client.ok()) return facts;
  facts.pid = PeerOf(client->fd());
  if (facts.pid > 0) {
    facts.capabilities =
        ParseCapabilities(ReadText(absl::StrCat(roots.procfs, "/", facts.pid, "/status")));
  }
  facts.answer = Ask(&*client, patience, &facts);
  return facts;
}

absl::Status TryBpf(const Roots& roots) {
  agent::BpfOptions options;
  options.pin_directory = "";
  options.btf_directory = absl::StrCat(roots.sysfs, "/kernel/btf");
  return agent::BpfPrograms::Load(options).status();
}

}  // namespace lockhost::doctor
