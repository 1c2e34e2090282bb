// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_FLAGS_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_FLAGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/guest_agent/guest_agent.h"

namespace lockhost::guest_agent {

// The daemon's flags as options, without pages if the flags name no files. REQUIRES:
// ParseProgramFlags() has run. INVALID_ARGUMENT names the flag.
absl::StatusOr<GuestAgent::Options> OptionsFromFlags();

// Whether thread pages are to be given where they can be. INVALID_ARGUMENT names the flag.
absl::StatusOr<bool> ThreadsFlag();

// Where applications get the pages. Nothing is served there if the options name files.
std::string PageSocket();

// Where the counters go at exit; empty: nowhere but to the log.
std::string StatsFile();

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_FLAGS_H_
