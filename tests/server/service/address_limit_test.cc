// SPDX-License-Identifier: Apache-2.0
#include "server/service/address_limit.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/un.h>

namespace lockhost::server {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kStart = 1000 * kSecond;

std::optional<PeerAddress> V4(const char* text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  EXPECT_EQ(inet_pton(AF_INET, text, &address.sin_addr), 1);
  return ParsePeerAddress(reinterpret_cast<const sockaddr*>(&address));
}

std::optional<PeerAddress> V6(const char* text) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  EXPECT_EQ(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
  return ParsePeerAddress(reinterpret_cast<const sockaddr*>(&address));
}

TEST(PeerAddressTest, IsAnIpv4AddressOrAnIpv6Network) {
  EXPECT_NE(V4("192.0.2.1"), V4("192.0.2.2"));
  EXPECT_EQ(V4("192.0.2.1"), V6("::ffff:192.0.2.1"));
  EXPECT_EQ(V6("2001:db8:1:2::1"), V6("2001:db8:1:2:ffff::9"));
  EXPECT_NE(V6("2001:db8:1:2::1"), V6("2001:db8:1:3::1"));
}

TEST(PeerAddressTest, OtherFamiliesHaveNone) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  EXPECT_EQ(ParsePeerAddress(reinterpret_cast<const sockaddr*>(&address)), std::nullopt);
}

TEST(AddressLimitTest, EachAddressHasItsOwnShare) {
  AddressLimit limit(1, 2);
  EXPECT_TRUE(limit.Take(*V4("192.0.2.1"), kStart));
  EXPECT_TRUE(limit.Take(*V4("192.0.2.1"), kStart));
  EXPECT_FALSE(limit.Take(*V4("192.0.2.1"), kStart));
  EXPECT_TRUE(limit.Take(*V4("192.0.2.2"), kStart));
  EXPECT_TRUE(limit.Take(*V4("192.0.2.1"), kStart + kSecond));
  EXPECT_FALSE(limit.Take(*V4("192.0.2.1"), kStart + kSecond));
}

// The one that has been quiet for longest is forgotten, not one that goes on connecting.
TEST(AddressLimitTest, RemembersTheLatest) {
  AddressLimit limit(1, 1);
  const PeerAddress busy = *V4("192.0.2.1"), quiet = *V4("192.0.2.2");
  EXPECT_TRUE(limit.Take(quiet, kStart));
  EXPECT_TRUE(limit.Take(busy, kStart));
  PeerAddress other{};
  for (size_t i = 0; i + 1 < AddressLimit::kMostAddresses; ++i) {
    other[0] = static_cast<uint8_t>(i);
    other[1] = static_cast<uint8_t>(i >> 8);
    EXPECT_FALSE(limit.Take(busy, kStart + 1 + i));
    EXPECT_TRUE(limit.Take(other, kStart + 1 + i));
  }
  EXPECT_FALSE(limit.Take(busy, kStart + 2000));
  EXPECT_TRUE(limit.Take(quiet, kStart + 2000));
}

}  // namespace
}  // namespace lockhost::server
