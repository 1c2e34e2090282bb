// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_AFTER_STREAM_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_AFTER_STREAM_H_

#include "absl/status/status.h"

namespace lockhost::guest_agent {

// What the end of a stream asks for, as proto/lockhost/v1/hints.proto says: the VM is
// gone, or this program is wrong: stop; everything else may pass.
enum class AfterStream { kReconnect, kStop };

constexpr AfterStream DecideAfterStream(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kInvalidArgument:
      return AfterStream::kStop;
    default:
      return AfterStream::kReconnect;
  }
}

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_AFTER_STREAM_H_
