// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/message_check.h"

#include "absl/strings/str_cat.h"
#include "client/page/hint_page.h"

namespace lockhost::guest_agent {
namespace {

using VcpuHints = google::protobuf::RepeatedPtrField<v1::VcpuHint>;

absl::Status Bad(const char* field, uint64_t value) {
  return absl::InvalidArgumentError(absl::StrCat(field, " = ", value));
}

absl::Status CheckVcpus(const VcpuHints& vcpus, uint32_t slots) {
  if (vcpus.size() > static_cast<int>(slots)) return Bad("vcpus: count", vcpus.size());
  for (const v1::VcpuHint& vcpu : vcpus) {
    if (vcpu.vcpu_id() >= slots) return Bad("vcpus.vcpu_id", vcpu.vcpu_id());
    if (!v1::RunState_IsValid(vcpu.run_state())) return Bad("vcpus.run_state", vcpu.run_state());
    if (vcpu.revision() > UINT64_MAX >> LOCKHOST_REVISION_SHIFT) {
      return Bad("vcpus.revision", vcpu.revision());
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSnapshot(const v1::Snapshot& snapshot) {
  if (!v1::SnapshotReason_IsValid(snapshot.reason())) {
    return Bad("snapshot.reason", snapshot.reason());
  }
  if (snapshot.generation() == 0) return Bad("snapshot.generation", 0);
  if (snapshot.slot_count() == 0 || snapshot.slot_count() > LOCKHOST_MAX_SLOTS) {
    return Bad("snapshot.slot_count", snapshot.slot_count());
  }
  if (!v1::Mode_IsValid(snapshot.mode())) return Bad("snapshot.mode", snapshot.mode());
  if (snapshot.sampled_every_ns() > kMaxSampledEveryNs) {
    return Bad("snapshot.sampled_every_ns", snapshot.sampled_every_ns());
  }
  return CheckVcpus(snapshot.vcpus(), snapshot.slot_count());
}

absl::Status CheckDelta(const v1::Delta& delta, uint32_t slots) {
  if (!v1::Mode_IsValid(delta.mode())) return Bad("delta.mode", delta.mode());
  return CheckVcpus(delta.vcpus(), slots);
}

}  // namespace

absl::Status CheckHostMessage(const v1::WatchHintsResponse& message, uint32_t known_slots) {
  if (message.lease_ns() == 0 || message.lease_ns() > kMaxLeaseNs) {
    return Bad("lease_ns", message.lease_ns());
  }
  if (message.has_snapshot()) return CheckSnapshot(message.snapshot());
  if (known_slots == 0) {
    return absl::InvalidArgumentError("message: the first one is not a snapshot");
  }
  return message.has_delta() ? CheckDelta(message.delta(), known_slots) : absl::OkStatus();
}

}  // namespace lockhost::guest_agent
