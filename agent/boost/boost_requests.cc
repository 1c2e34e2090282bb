// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/boost_requests.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "client/page/hint_page.h"

namespace lockhost::agent {

absl::StatusOr<BoostRequest> ParseBoostRequest(const Packet& packet) {
  const auto type = PacketType(packet);
  if (!type.ok()) return type.status();
  if (*type != MessageType::kBoostVcpu || !packet.fds.empty()) {
    return absl::InvalidArgumentError("record that is no request for a boost");
  }
  const auto message = ParsePacket<BoostVcpuMessage>(packet);
  if (!message.ok()) return message.status();
  if (message->vm_index >= kMaxVms || message->vcpu_id >= LOCKHOST_MAX_SLOTS ||
      message->revision > UINT64_MAX >> LOCKHOST_REVISION_SHIFT) {
    return absl::InvalidArgumentError("request for a boost with a field out of range");
  }
  return BoostRequest{
      .vm_id = message->vm_id,
      .vm_index = message->vm_index,
      .vcpu_id = message->vcpu_id,
      .asker = BoostAsker::kGrpc,
      .state_word = lockhost_state_word(LOCKHOST_RUN_STATE_PREEMPTED, message->revision)};
}

absl::StatusOr<BoostRequests> BoostRequests::Create() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return absl::ErrnoToStatus(errno, "make the booster's socket");
  }
  return BoostRequests(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

uint64_t BoostRequests::Take(uint64_t now_ns,
                             const std::function<void(const BoostRequest&)>& take) {
  while (ours_.valid()) {
    if (pace_.ReadyAtNs() > now_ns) return pace_.ReadyAtNs();
    const auto packet = ReceivePacket(ours_.get());
    if (packet.ok() && !packet->has_value()) return 0;
    pace_.Take(now_ns);
    const auto request = packet.ok() ? ParseBoostRequest(**packet) : packet.status();
    if (request.ok()) {
      take(*request);
    } else {
      ours_.reset();  // the peer's next record fails, and says so to it
    }
  }
  return 0;
}

}  // namespace lockhost::agent
