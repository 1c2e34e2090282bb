// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_ADDRESS_LIMIT_H_
#define LOCKHOST_SERVER_SERVICE_ADDRESS_LIMIT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "common/token_bucket.h"

struct sockaddr;

namespace lockhost::server {

// Who connects by TCP, as far as it is told apart: an IPv4 address, or the network (/64) of an
// IPv6 one, of whose addresses a host can have as many as it likes.
using PeerAddress = std::array<uint8_t, 16>;

// Nullopt: no address of the Internet's.
std::optional<PeerAddress> ParsePeerAddress(const sockaddr* address);

// How fast each address may connect. Constant memory: of the addresses only the latest are
// remembered, so whoever has very many is bounded by the listener's own limit alone. Pure; the
// caller gives the time (ns). Not thread-safe.
class AddressLimit {
 public:
  static constexpr size_t kMostAddresses = 1024;

  // REQUIRES: as TokenBucket.
  AddressLimit(uint32_t per_second, uint32_t burst) : per_second_(per_second), burst_(burst) {}

  // Whether one more connection of this address may be taken.
  bool Take(const PeerAddress& address, uint64_t now_ns);

 private:
  struct Entry {
    TokenBucket connections;
    uint64_t seen_ns;
  };

  void ForgetOldest();

  uint32_t per_second_;
  uint32_t burst_;
  std::map<PeerAddress, Entry> entries_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_ADDRESS_LIMIT_H_
