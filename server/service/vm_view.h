// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_VM_VIEW_H_
#define LOCKHOST_SERVER_SERVICE_VM_VIEW_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "lockhost/v1/host.pb.h"
#include "server/directory/vm_directory.h"

namespace lockhost::server {

inline constexpr uint64_t kDefaultIntervalNs = 1'000'000'000;
inline constexpr uint64_t kLeastIntervalNs = 100'000'000;
inline constexpr uint64_t kMostIntervalNs = 60'000'000'000;

// The operator's answers, without gRPC. All thread-safe.

// `now_ns`: the tables' clock. INVALID_ARGUMENT for a bad page token, UNAVAILABLE while the
// agent is not connected.
absl::StatusOr<v1::ListVmsResponse> ListVms(const VmDirectory& directory,
                                            const v1::ListVmsRequest& request, uint64_t now_ns);

// NOT_FOUND when there is no such VM. `now_ns`: the table's clock.
absl::StatusOr<v1::WatchVmResponse> DescribeVm(const VmDirectory& directory, uint64_t vm_id,
                                               uint64_t now_ns);

// The pace that a WatchVm request asks for. INVALID_ARGUMENT when out of range.
absl::StatusOr<uint64_t> WatchIntervalNs(const v1::WatchVmRequest& request);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_VM_VIEW_H_
