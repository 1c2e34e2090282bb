// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_SIGNALS_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_SIGNALS_H_

#include "client/guest_agent/guest_agent.h"

namespace lockhost::guest_agent {

// The daemon's signals. Its main thread sleeps on a futex, which no descriptor can
// interrupt, so these are handlers and not a signalfd: SIGTERM and SIGINT stop the
// agent, SIGUSR1 pokes it for its statistics. SIGBUS (somebody has shrunk the report
// page, which every application may do) voids the hint page and ends the process: the
// service manager's restart makes the page whole again.

// REQUIRES: called before any thread is made: all of them are to block the signals.
void BlockSignals();

// Installs the handlers and unblocks the signals in the calling thread. `agent` must
// live until the process ends. Call once.
void HandleSignals(GuestAgent* agent);

// Whether SIGUSR1 came since the last call.
bool TakeStatsRequest();

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_SIGNALS_H_
