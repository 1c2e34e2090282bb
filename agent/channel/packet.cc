// SPDX-License-Identifier: Apache-2.0
#include "agent/channel/packet.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"

namespace lockhost::agent {
namespace {

// Room for more descriptors than any record has: what exceeds it must be seen (and
// closed), not silently cut.
constexpr size_t kControlBytes = CMSG_SPACE(sizeof(int) * (kMaxPacketFds + 2));

struct alignas(cmsghdr) ControlBuffer {
  char bytes[kControlBytes];
};

void TakeDescriptors(msghdr& header, std::vector<UniqueFd>& fds) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
}

bool PeerHasGone(int error) { return error == EPIPE || error == ECONNRESET || error == ENOTCONN; }

}  // namespace

absl::StatusOr<std::optional<Packet>> ReceivePacket(int socket) {
  Packet packet;
  ControlBuffer control;
  iovec vector{packet.bytes.data(), packet.bytes.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = sizeof(control.bytes);
  ssize_t size;
  do {
    size = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<Packet>();
    if (PeerHasGone(errno)) return absl::UnavailableError("the peer has closed the channel");
    return absl::ErrnoToStatus(errno, "receive from the channel");
  }
  TakeDescriptors(header, packet.fds);
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || packet.fds.size() > kMaxPacketFds) {
    return absl::InvalidArgumentError("packet is larger than any record");
  }
  if (size == 0) return absl::UnavailableError("the peer has closed the channel");
  packet.size = static_cast<size_t>(size);
  return std::optional<Packet>(std::move(packet));
}

absl::StatusOr<bool> SendPacket(int socket, std::span<const std::byte> bytes,
                                std::span<const int> fds) {
  if (fds.size() > kMaxPacketFds) return absl::InvalidArgumentError("too many descriptors");
  ControlBuffer control{};
  iovec vector{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  ssize_t size;
  do {
    size = sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (size < 0 && errno == EINTR);
  if (size >= 0) return true;
  if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
  if (PeerHasGone(errno)) return absl::UnavailableError("the peer has closed the channel");
  return absl::ErrnoToStatus(errno, "send over the channel");
}

absl::StatusOr<MessageType> PacketType(const Packet& packet) {
  MessageHeader header;
  if (packet.size < sizeof(header)) return absl::InvalidArgumentError("record without a header");
  std::memcpy(&header, packet.bytes.data(), sizeof(header));
  if (header.version != kChannelVersion) {
    return absl::InvalidArgumentError("record of another version of the channel");
  }
  return header.type;
}

}  // namespace lockhost::agent
