// SPDX-License-Identifier: Apache-2.0
#include "server/service/address_limit.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace lockhost::server {
namespace {

constexpr size_t kNetworkBytes = 8;

PeerAddress FromV4(const void* four_bytes) {
  PeerAddress address{};
  address[10] = address[11] = 0xff;  // as IPv6 writes it
  std::memcpy(&address[12], four_bytes, 4);
  return address;
}

}  // namespace

std::optional<PeerAddress> ParsePeerAddress(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof(v4));
    return FromV4(&v4.sin_addr);
  }
  if (address->sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6;
  std::memcpy(&v6, address, sizeof(v6));
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return FromV4(&v6.sin6_addr.s6_addr[12]);
  PeerAddress network{};
  std::memcpy(network.data(), &v6.sin6_addr, kNetworkBytes);
  return network;
}

bool AddressLimit::Take(const PeerAddress& address, uint64_t now_ns) {
  auto found = entries_.find(address);
  if (found == entries_.end()) {
    if (entries_.size() >= kMostAddresses) ForgetOldest();
    found = entries_.emplace(address, Entry{TokenBucket(per_second_, burst_), now_ns}).first;
  }
  found->second.seen_ns = now_ns;
  return found->second.connections.Take(now_ns);
}

void AddressLimit::ForgetOldest() {
  entries_.erase(
      std::min_element(entries_.begin(), entries_.end(), [](const auto& one, const auto& other) {
        return one.second.seen_ns < other.second.seen_ns;
      }));
}

}  // namespace lockhost::server
