// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_FLAGS_H_
#define LOCKHOST_SERVER_FLAGS_H_

#include "absl/status/statusor.h"
#include "server/daemon/daemon.h"

namespace lockhost::server {

// lockhostd's flags as options. REQUIRES: ParseProgramFlags() has run. INVALID_ARGUMENT
// names the flag.
absl::StatusOr<Daemon::Options> OptionsFromFlags();

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_FLAGS_H_
