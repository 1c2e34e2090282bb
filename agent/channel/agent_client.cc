// SPDX-License-Identifier: Apache-2.0
#include "agent/channel/agent_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::agent {
namespace {

absl::Status WrongDescriptors() {
  return absl::InvalidArgumentError("record with another number of descriptors");
}

absl::StatusOr<AgentEvent> ParseSource(Packet& packet) {
  auto message = ParsePacket<SourceMessage>(packet);
  if (!message.ok()) return message.status();
  SourceEvent event;
  event.message = *message;
  const std::pair<uint32_t, UniqueFd*> places[] = {
      {kHintRingFd, &event.hint_ring}, {kInterestFd, &event.interest},
      {kStatsFd, &event.stats},        {kHostPageFd, &event.host_page},
      {kBoostLogFd, &event.boost_log}, {kBoostRequestsFd, &event.boost_requests}};
  const auto expected = static_cast<size_t>(std::popcount(message->descriptors));
  if (packet.fds.size() != expected || (message->descriptors & kInterestFd) == 0) {
    return WrongDescriptors();
  }
  size_t taken = 0;
  for (const auto& [bit, place] : places) {
    if ((message->descriptors & bit) != 0) *place = std::move(packet.fds[taken++]);
  }
  return taken == expected ? absl::StatusOr<AgentEvent>(std::move(event)) : WrongDescriptors();
}

absl::StatusOr<AgentEvent> ParseVm(Packet& packet) {
  auto message = ParsePacket<VmMessage>(packet);
  if (!message.ok()) return message.status();
  if (packet.fds.size() != 1) return WrongDescriptors();
  if (message->vm_index >= kMaxVms) return absl::InvalidArgumentError("vm_index out of range");
  return VmEvent{*message, std::move(packet.fds.front())};
}

template <typename T, typename Event>
absl::StatusOr<AgentEvent> ParsePlain(const Packet& packet, Event (*make)(const T&)) {
  auto message = ParsePacket<T>(packet);
  if (!message.ok()) return message.status();
  if (!packet.fds.empty()) return WrongDescriptors();
  return make(*message);
}

absl::StatusOr<AgentEvent> ParseEvent(Packet& packet) {
  const auto type = PacketType(packet);
  if (!type.ok()) return type.status();
  switch (*type) {
    case MessageType::kSource:
      return ParseSource(packet);
    case MessageType::kVm:
      return ParseVm(packet);
    case MessageType::kVmGone:
      return ParsePlain<VmGoneMessage, VmGoneEvent>(
          packet, [](const VmGoneMessage& message) { return VmGoneEvent{message}; });
    case MessageType::kSynced:
      return ParsePlain<PlainMessage, SyncedEvent>(
          packet, [](const PlainMessage&) { return SyncedEvent{}; });
    case MessageType::kAck:
      return ParsePlain<PlainMessage, AckEvent>(packet,
                                                [](const PlainMessage&) { return AckEvent{}; });
    case MessageType::kError:
      return ParsePlain<ErrorMessage, ErrorEvent>(packet, [](const ErrorMessage& message) {
        return ErrorEvent{std::string(FieldText(message.text))};
      });
    default:
      return absl::InvalidArgumentError("record of a type that the agent does not send");
  }
}

}  // namespace

absl::Status SendBoostRequest(int socket, uint64_t vm_id, uint32_t vm_index, uint32_t vcpu_id,
                              uint64_t revision) {
  auto message = MakeMessage<BoostVcpuMessage>(MessageType::kBoostVcpu);
  message.vm_id = vm_id;
  message.vm_index = vm_index;
  message.vcpu_id = vcpu_id;
  message.revision = revision;
  const auto sent = SendPacket(socket, MessageBytes(message), {});
  if (!sent.ok()) return sent.status();
  if (!*sent) return absl::ResourceExhaustedError("the booster's socket is full");
  return absl::OkStatus();
}

absl::StatusOr<AgentClient> AgentClient::Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("socket path of a wrong length: ", path));
  }
  std::copy(path.begin(), path.end(), address.sun_path);
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return absl::ErrnoToStatus(errno, "make a socket");
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == ECONNREFUSED || errno == EAGAIN) {
      return absl::UnavailableError(absl::StrCat("no agent listens at ", path));
    }
    return absl::ErrnoToStatus(errno, absl::StrCat("connect to the agent at ", path));
  }
  return AgentClient(std::move(socket));
}

template <typename T>
absl::Status AgentClient::Send(const T& message) {
  const auto sent = SendPacket(socket_.get(), MessageBytes(message), {});
  if (!sent.ok()) return sent.status();
  if (!*sent) return absl::UnavailableError("the agent does not read its channel");
  return absl::OkStatus();
}

absl::Status AgentClient::Subscribe() {
  return Send(MakeMessage<PlainMessage>(MessageType::kSubscribe));
}

absl::Status AgentClient::RequestOwnTable() {
  return Send(MakeMessage<PlainMessage>(MessageType::kOwnTable));
}

absl::Status AgentClient::SetReportRegion(uint64_t vm_id, uint64_t address, uint32_t slot_count) {
  auto message = MakeMessage<ReportRegionMessage>(MessageType::kReportRegion);
  message.vm_id = vm_id;
  message.address = address;
  message.slot_count = slot_count;
  return Send(message);
}

absl::Status AgentClient::RegisterVcpus(std::span<const pid_t> tids) {
  if (tids.size() > kMaxRegisteredVcpus) return absl::InvalidArgumentError("too many vCPUs");
  auto message = MakeMessage<RegisterVcpusMessage>(MessageType::kRegisterVcpus);
  message.count = static_cast<uint32_t>(tids.size());
  std::copy(tids.begin(), tids.end(), message.tids);
  return Send(message);
}

absl::Status AgentClient::SetBoost(uint64_t vm_id, bool enabled) {
  auto message = MakeMessage<SetBoostMessage>(MessageType::kSetBoost);
  message.vm_id = vm_id;
  message.enabled = enabled ? 1 : 0;
  return Send(message);
}

absl::StatusOr<std::optional<AgentEvent>> AgentClient::Receive() {
  auto packet = ReceivePacket(socket_.get());
  if (!packet.ok()) return packet.status();
  if (!packet->has_value()) return std::optional<AgentEvent>();
  auto event = ParseEvent(**packet);
  if (!event.ok()) return event.status();
  return std::optional<AgentEvent>(*std::move(event));
}

absl::StatusOr<AgentEvent> AgentClient::Await(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    auto event = Receive();
    if (!event.ok()) return event.status();
    if (event->has_value()) return **std::move(event);
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return absl::DeadlineExceededError("the agent has not answered");
    pollfd wanted{socket_.get(), POLLIN, 0};
    if (poll(&wanted, 1, static_cast<int>(left.count())) < 0 && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "wait for the agent");
    }
  }
}

}  // namespace lockhost::agent
