// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_CHANNEL_PACKET_H_
#define LOCKHOST_AGENT_CHANNEL_PACKET_H_

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/channel/protocol.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// One record of the channel as it came over the socket: bytes and descriptors,
// checked for nothing yet but that they fit.
inline constexpr size_t kMaxPacketBytes = 1024;
inline constexpr size_t kMaxPacketFds = 6;

struct Packet {
  std::array<std::byte, kMaxPacketBytes> bytes;
  size_t size = 0;
  std::vector<UniqueFd> fds;
};

// Takes one packet from a SOCK_SEQPACKET socket without blocking. nullopt: nothing
// there now. Errors: UNAVAILABLE the peer has closed; INVALID_ARGUMENT the packet is
// longer, or carries more descriptors, than any record (what came is closed).
absl::StatusOr<std::optional<Packet>> ReceivePacket(int socket);

// Sends one packet without blocking. False: the socket's buffer is full, nothing was
// sent. The descriptors stay the caller's. Errors: UNAVAILABLE the peer has closed.
absl::StatusOr<bool> SendPacket(int socket, std::span<const std::byte> bytes,
                                std::span<const int> fds);

// Type of a record whose header is sound (long enough, version known).
absl::StatusOr<MessageType> PacketType(const Packet& packet);

// The record as a T. INVALID_ARGUMENT when it has another size.
template <typename T>
absl::StatusOr<T> ParsePacket(const Packet& packet) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMaxPacketBytes);
  if (packet.size != sizeof(T)) {
    return absl::InvalidArgumentError("record has another size than its type says");
  }
  T message;
  std::memcpy(&message, packet.bytes.data(), sizeof(T));
  return message;
}

template <typename T>
std::span<const std::byte> MessageBytes(const T& message) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMaxPacketBytes);
  return std::as_bytes(std::span(&message, 1));
}

// A zeroed record with its header filled.
template <typename T>
T MakeMessage(MessageType type) {
  T message{};
  message.header = {kChannelVersion, type};
  return message;
}

// Text of a fixed field: up to the first NUL, or all of it.
template <size_t N>
std::string_view FieldText(const char (&field)[N]) {
  return std::string_view(field, strnlen(field, N));
}

// Copies `text` into a fixed field, cut to fit, always NUL-terminated.
template <size_t N>
void SetFieldText(char (&field)[N], std::string_view text) {
  const size_t size = text.size() < N ? text.size() : N - 1;
  if (size != 0) std::memcpy(field, text.data(), size);  // an empty view may have no address
  std::memset(field + size, 0, N - size);
}

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_CHANNEL_PACKET_H_
