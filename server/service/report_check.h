// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_REPORT_CHECK_H_
#define LOCKHOST_SERVER_SERVICE_REPORT_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "lockhost/v1/hints.pb.h"

namespace lockhost::server {

// A ttl above this is no honest wish; what is below is cut to the host's own bound.
inline constexpr uint64_t kMaxAskedTtlNs = 60'000'000'000;
inline constexpr uint64_t kMaxReportAgeNs = 60'000'000'000;
inline constexpr size_t kMaxAgentVersionBytes = 64;
inline constexpr int kMaxCapabilities = 16;

// Whether a guest's message keeps to the protocol, for a table of `slot_count` slots.
// INVALID_ARGUMENT names the field. Pure; bounded by the size of the message.
absl::Status CheckReport(const v1::ReportHoldersRequest& request, uint32_t slot_count);
absl::Status CheckWatchRequest(const v1::WatchHintsRequest& request);

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_REPORT_CHECK_H_
