// SPDX-License-Identifier: Apache-2.0
#include "agent/channel/request_check.h"

#include <algorithm>
#include <set>

#include "client/page/report_page.h"

namespace lockhost::agent {
namespace {

// User addresses end here with five-level page tables; with four, higher ones are
// merely not readable.
constexpr uint64_t kUserAddressEnd = uint64_t{1} << 56;

size_t RequestSize(MessageType type) {
  switch (type) {
    case MessageType::kSubscribe:
    case MessageType::kOwnTable:
      return sizeof(PlainMessage);
    case MessageType::kReportRegion:
      return sizeof(ReportRegionMessage);
    case MessageType::kRegisterVcpus:
      return sizeof(RegisterVcpusMessage);
    case MessageType::kSetBoost:
      return sizeof(SetBoostMessage);
    default:
      return 0;
  }
}

}  // namespace

absl::StatusOr<MessageType> CheckRequest(const Packet& packet) {
  const auto type = PacketType(packet);
  if (!type.ok()) return type.status();
  const size_t size = RequestSize(*type);
  if (size == 0) return absl::InvalidArgumentError("record that is no request");
  if (packet.size != size) return absl::InvalidArgumentError("request of another size");
  if (!packet.fds.empty()) return absl::InvalidArgumentError("request with descriptors");
  return *type;
}

absl::Status CheckReportRegion(const ReportRegionMessage& message) {
  if (message.address == 0) return absl::OkStatus();
  if (message.slot_count == 0 || message.slot_count > LOCKHOST_MAX_SLOTS) {
    return absl::InvalidArgumentError("slot_count is out of range");
  }
  if (message.address % alignof(uint64_t) != 0) {
    return absl::InvalidArgumentError("address is not aligned to 8 bytes");
  }
  const uint64_t bytes = LOCKHOST_REPORT_PAGE_BYTES(uint64_t{message.slot_count});
  if (message.address >= kUserAddressEnd || message.address + bytes > kUserAddressEnd) {
    return absl::InvalidArgumentError("address is no user address");
  }
  return absl::OkStatus();
}

absl::Status CheckRegisterVcpus(const RegisterVcpusMessage& message) {
  if (message.count > kMaxRegisteredVcpus) {
    return absl::InvalidArgumentError("count is out of range");
  }
  std::set<int32_t> seen;
  for (uint32_t i = 0; i < message.count; ++i) {
    const int32_t tid = message.tids[i];
    if (tid == 0) continue;
    if (tid < 0) return absl::InvalidArgumentError("a tid is negative");
    if (!seen.insert(tid).second) return absl::InvalidArgumentError("a tid occurs twice");
  }
  if (seen.empty()) return absl::InvalidArgumentError("no vCPU given");
  return absl::OkStatus();
}

}  // namespace lockhost::agent
