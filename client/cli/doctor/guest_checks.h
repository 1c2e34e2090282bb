// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_DOCTOR_GUEST_CHECKS_H_
#define LOCKHOST_CLIENT_CLI_DOCTOR_GUEST_CHECKS_H_

#include "agent/doctor/check.h"
#include "client/cli/doctor/guest_facts.h"

namespace lockhost::doctor {

// What the guest's kernel gets from its hypervisor, and what comes of it there. Pure.
// None of it is lockhost's, so nothing here is a problem but a missing hypervisor.
Checks HypervisorChecks(const GuestFacts& facts);

// The guest agent, its page and the applications. Pure.
Checks HintChecks(const GuestFacts& facts);

}  // namespace lockhost::doctor

#endif  // LOCKHOST_CLIENT_CLI_DOCTOR_GUEST_CHECKS_H_
