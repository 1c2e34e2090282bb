// SPDX-License-Identifier: Apache-2.0
#include "server/service/report_check.h"

#include <bitset>

#include "absl/strings/str_cat.h"
#include "client/page/hint_page.h"

namespace lockhost::server {
namespace {

absl::Status Bad(const char* field, uint64_t value) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value, " is out of range"));
}

}  // namespace

absl::Status CheckReport(const v1::ReportHoldersRequest& request, uint32_t slot_count) {
  if (request.has_demand() && request.demand().ttl_ns() > kMaxAskedTtlNs) {
    return Bad("demand.ttl_ns", request.demand().ttl_ns());
  }
  if (request.holders_size() > static_cast<int>(slot_count)) {
    return Bad("holders: count", request.holders_size());
  }
  std::bitset<LOCKHOST_MAX_SLOTS> seen;
  for (const v1::HolderReport& holder : request.holders()) {
    const uint32_t vcpu_id = holder.vcpu_id();
    if (vcpu_id >= slot_count || vcpu_id >= seen.size()) return Bad("holders.vcpu_id", vcpu_id);
    if (seen[vcpu_id]) {
      return absl::InvalidArgumentError(
          absl::StrCat("holders.vcpu_id: more than one report of vCPU ", vcpu_id));
    }
    seen[vcpu_id] = true;
    if (holder.revision() > UINT64_MAX >> LOCKHOST_REVISION_SHIFT) {
      return Bad("holders.revision", holder.revision());
    }
    if (holder.age_ns() > kMaxReportAgeNs) return Bad("holders.age_ns", holder.age_ns());
  }
  return absl::OkStatus();
}

absl::Status CheckWatchRequest(const v1::WatchHintsRequest& request) {
  if (request.protocol_version() == 0) return Bad("protocol_version", 0);
  if (request.capabilities_size() > kMaxCapabilities) {
    return Bad("capabilities: count", request.capabilities_size());
  }
  if (request.agent_version().size() > kMaxAgentVersionBytes) {
    return Bad("agent_version: length", request.agent_version().size());
  }
  return absl::OkStatus();
}

}  // namespace lockhost::server
