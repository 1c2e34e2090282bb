// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DOCTOR_HOST_CHECKS_H_
#define LOCKHOST_AGENT_DOCTOR_HOST_CHECKS_H_

#include "absl/status/status.h"
#include "agent/doctor/check.h"
#include "agent/doctor/host_facts.h"

// What the facts of a host mean. Pure functions.
namespace lockhost::doctor {

// BPF is known to work: an agent uses it, or it was tried just now. What would otherwise
// be its obstacle is then a warning.
bool BpfWorks(const HostFacts& facts);

// KVM, type information, configuration, lockdown.
Checks KernelChecks(const HostFacts& facts);

// Capabilities, sysctls, namespaces, mounts.
Checks PrivilegeChecks(const HostFacts& facts);

// Whether preempted lock holders are run again: the agent's mechanism and rights, the
// kernel's bound on real-time threads, the off switch.
Checks BoostChecks(const HostFacts& facts);

// The agent, BPF itself, lockhostd, the VMMs. `server`: what came of asking lockhostd on
// `server_socket`, which is the caller's business.
Checks ServiceChecks(const HostFacts& facts, const absl::Status& server,
                     const std::string& server_socket);

}  // namespace lockhost::doctor

#endif  // LOCKHOST_AGENT_DOCTOR_HOST_CHECKS_H_
