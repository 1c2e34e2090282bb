// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_COMMON_TERMINATION_H_
#define LOCKHOST_COMMON_TERMINATION_H_

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost {

// Blocks SIGTERM and SIGINT in the calling thread, and ignores SIGPIPE, so that a
// daemon ends where its main loop says: the returned fd (a signalfd) becomes
// readable when the process is asked to end.
//
// REQUIRES: called before any thread is made, so that all inherit the mask.
absl::StatusOr<UniqueFd> TerminationFd();

}  // namespace lockhost

#endif  // LOCKHOST_COMMON_TERMINATION_H_
