// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "agent/doctor/host_checks.h"
#include "agent/doctor/host_facts.h"
#include "client/cli/commands.h"
#include "client/cli/doctor/guest_checks.h"
#include "client/cli/doctor/report.h"
#include "client/cli/host_client.h"
#include "client/cli/terminal.h"
#include "common/clock.h"

namespace lockhost::cli {
namespace {

using doctor::Checks;
using doctor::Section;

void Append(Checks more, Checks* checks) {
  checks->insert(checks->end(), more.begin(), more.end());
}

absl::StatusOr<v1::ListVmsResponse> AskServer(const Options& options) {
  const auto client = HostClient::Connect(options.socket, options.deadline);
  if (!client.ok()) return client.status();
  return (*client)->ListVms(/*include_vcpus=*/false);
}

Section ExamineHost(const Options& options) {
  doctor::HostFacts facts;
  facts.kernel = doctor::ReadKernelFacts(options.roots);
  facts.privileges = doctor::ReadPrivilegeFacts(options.roots, options.pin_directory);
  facts.qemus = doctor::FindQemus(options.roots);
  facts.vcpu_fds = doctor::CountVcpuFds(options.roots);
  facts.agent = doctor::AskAgent(options.roots, options.agent_socket, options.deadline);
  const auto list = AskServer(options);
  if (facts.agent.source.empty() && list.ok()) {
    facts.agent.source = list->source();
    facts.agent.reason = list->source_reason();
    facts.agent.vms = static_cast<uint32_t>(list->vms_size());
    for (const v1::Vm& vm : list->vms()) facts.agent.vcpus += vm.vcpu_count();
  }
  if (facts.agent.source.empty()) facts.bpf_attempt = doctor::TryBpf(options.roots);
  Section section{"host", doctor::KernelChecks(facts)};
  Append(doctor::PrivilegeChecks(facts), &section.checks);
  Append(doctor::BoostChecks(facts), &section.checks);
  Append(doctor::ServiceChecks(facts, list.status(), options.socket), &section.checks);
  return section;
}

Section ExamineGuest(const Options& options) {
  const doctor::GuestFacts facts =
      doctor::ReadGuestFacts(options.roots, doctor::NativeCpuid, doctor::ReadKernelLog(),
                             doctor::ReadEnvironment(), MonotonicClock().now_ns());
  Section section{"guest", doctor::HypervisorChecks(facts)};
  Append(doctor::HintChecks(facts), &section.checks);
  return section;
}

// A guest that has /dev/kvm is a host only if it hosts something: many a guest has the
// device and never opens it.
bool IsHost(const Options& options, bool is_guest) {
  if (!is_guest) return true;
  return access(options.agent_socket.c_str(), F_OK) == 0 || doctor::CountVcpuFds(options.roots) > 0;
}

}  // namespace

bool DoctorCommand(const Options& options) {
  const bool asked = options.host || options.guest;
  const bool guest = asked ? options.guest : doctor::ReadHypervisor(doctor::NativeCpuid).present;
  const bool host = asked ? options.host : IsHost(options, guest);
  std::vector<Section> sections;
  if (host) sections.push_back(ExamineHost(options));
  if (guest) sections.push_back(ExamineGuest(options));
  if (options.json) {
    printf("%s\n", doctor::RenderJson(sections).c_str());
  } else {
    printf("%s", doctor::RenderText(sections, OnTerminal()).c_str());
  }
  return doctor::HintsFlow(sections);
}

}  // namespace lockhost::cli
