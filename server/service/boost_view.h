// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_BOOST_VIEW_H_
#define LOCKHOST_SERVER_SERVICE_BOOST_VIEW_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "lockhost/v1/host.pb.h"
#include "server/directory/vm_directory.h"

namespace lockhost::server {

// The operator's ListBoosts, without gRPC; errors as host.proto says. `now_ns`: the log's
// clock. Thread-safe.
absl::StatusOr<v1::ListBoostsResponse> ListBoosts(const VmDirectory& directory,
                                                  const v1::ListBoostsRequest& request,
                                                  uint64_t now_ns);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_BOOST_VIEW_H_
