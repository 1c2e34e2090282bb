// SPDX-License-Identifier: Apache-2.0
//
// A packet to the agent. Input: how many descriptors it carries, then its bytes.
#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "agent/boost/boost_requests.h"
#include "agent/channel/packet.h"
#include "agent/channel/request_check.h"
#include "client/page/report_page.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::agent {
namespace {

constexpr uint64_t kUserAddressEnd = uint64_t{1} << 56;

Packet MakePacket(ByteReader input) {
  Packet packet;
  const size_t fds = std::min<size_t>(input.Take<uint8_t>(), kMaxPacketFds);
  for (size_t i = 0; i < fds; ++i) packet.fds.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::string_view bytes = input.TakeBytes(kMaxPacketBytes);
  std::memcpy(packet.bytes.data(), bytes.data(), bytes.size());
  packet.size = bytes.size();
  return packet;
}

// The record comes out as it went in.
template <typename T>
T CheckRecord(const Packet& packet) {
  const auto message = ParsePacket<T>(packet);
  FUZZ_CHECK(message.ok());
  FUZZ_CHECK(std::memcmp(&*message, packet.bytes.data(), sizeof(T)) == 0);
  FUZZ_CHECK(packet.fds.empty() && message->header.version == kChannelVersion);
  return *message;
}

void CheckRegion(const ReportRegionMessage& message) {
  if (!CheckReportRegion(message).ok() || message.address == 0) return;
  FUZZ_CHECK(message.slot_count > 0 && message.slot_count <= LOCKHOST_MAX_SLOTS);
  FUZZ_CHECK(message.address % alignof(lockhost_report_header) == 0);
  const uint64_t bytes =
      sizeof(lockhost_report_header) + message.slot_count * sizeof(lockhost_report_slot);
  FUZZ_CHECK(message.address < kUserAddressEnd && kUserAddressEnd - message.address >= bytes);
}

void CheckVcpus(const RegisterVcpusMessage& message) {
  if (!CheckRegisterVcpus(message).ok()) return;
  FUZZ_CHECK(message.count > 0 && message.count <= kMaxRegisteredVcpus);
  std::multiset<int32_t> tids(message.tids, message.tids + message.count);
  tids.erase(0);
  FUZZ_CHECK(!tids.empty() && *tids.begin() > 0);
  for (int32_t tid : tids) FUZZ_CHECK(tids.count(tid) == 1);
}

void CheckPacket(const Packet& packet) {
  const auto type = CheckRequest(packet);
  if (!type.ok()) return;
  switch (*type) {
    case MessageType::kSubscribe:
    case MessageType::kOwnTable:
      CheckRecord<PlainMessage>(packet);
      break;
    case MessageType::kReportRegion:
      CheckRegion(CheckRecord<ReportRegionMessage>(packet));
      break;
    case MessageType::kRegisterVcpus:
      CheckVcpus(CheckRecord<RegisterVcpusMessage>(packet));
      break;
    case MessageType::kSetBoost:
      CheckRecord<SetBoostMessage>(packet);
      break;
    default:
      FUZZ_CHECK(false && "a request is none of the agent's own records");
  }
}

// The same bytes at the booster's own socket.
void CheckBoostRequest(const Packet& packet) {
  const auto request = ParseBoostRequest(packet);
  if (!request.ok()) return;
  FUZZ_CHECK(packet.fds.empty() && packet.size == sizeof(BoostVcpuMessage));
  FUZZ_CHECK(request->vm_index < kMaxVms && request->vcpu_id < LOCKHOST_MAX_SLOTS);
  FUZZ_CHECK(lockhost_state_of(request->state_word) == LOCKHOST_RUN_STATE_PREEMPTED);
  FUZZ_CHECK(request->asker == BoostAsker::kGrpc && request->at_ns == 0);
}

// What the other end makes of a record with text in it.
void CheckVmRecord(const Packet& packet) {
  const auto message = ParsePacket<VmMessage>(packet);
  FUZZ_CHECK(message.ok() == (packet.size == sizeof(VmMessage)));
  if (!message.ok()) return;
  FUZZ_CHECK(FieldText(message->vmm).size() <= sizeof(message->vmm));
  FUZZ_CHECK(FieldText(message->name).size() <= sizeof(message->name));
  FUZZ_CHECK(FieldText(message->name).find('\0') == std::string_view::npos);
}

}  // namespace
}  // namespace lockhost::agent

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const lockhost::agent::Packet packet =
      lockhost::agent::MakePacket(lockhost::ByteReader(data, size));
  lockhost::agent::CheckPacket(packet);
  lockhost::agent::CheckBoostRequest(packet);
  lockhost::agent::CheckVmRecord(packet);
  return 0;
}
