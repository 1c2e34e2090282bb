// SPDX-License-Identifier: Apache-2.0
#include "server/tls/certificate_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>

#include "tests/server/tls/test_ca.h"

namespace lockhost::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> NamesFor(const std::string& alternative_names) {
  KeyHandle key(nullptr, EVP_PKEY_free);
  return NamesOf(
      TestCa()
          .Make({.alternative_names = alternative_names, .common_name = "fc-1.example"}, &key)
          .get());
}

TEST(CertificateNamesTest, DnsNamesInLowerCaseAndUrisAsTheyAre) {
  EXPECT_THAT(NamesFor("DNS:FC-1.Guests.example,URI:spiffe://Example/fc-1"),
              ElementsAre("fc-1.guests.example", "spiffe://Example/fc-1"));
}

TEST(CertificateNamesTest, TheCommonNameAndOtherKindsNameNobody) {
  EXPECT_THAT(NamesFor(""), IsEmpty());
  EXPECT_THAT(NamesFor("IP:127.0.0.1,email:a@fc-1.example"), IsEmpty());
}

TEST(CertificateNamesTest, AWildcardNamesNobody) {
  EXPECT_THAT(NamesFor("DNS:*.guests.example,DNS:fc-1.example"), ElementsAre("fc-1.example"));
}

TEST(CertificateNamesTest, AUriDoesNotComeInAsADnsName) {
  EXPECT_EQ(CanonicalName(NameKind::kDns, "spiffe://example/fc-1"), "");
  EXPECT_EQ(CanonicalName(NameKind::kUri, "fc-1.example"), "");
}

TEST(CertificateNamesTest, BytesThatEndATextEarlyAreInNoName) {
  using std::string_view_literals::operator""sv;
  EXPECT_EQ(CanonicalName(NameKind::kDns, "fc-1.example\0.evil"sv), "");
  EXPECT_EQ(CanonicalName(NameKind::kUri, "spiffe://example/fc-1\0/x"sv), "");
  EXPECT_EQ(CanonicalName(NameKind::kUri, "spiffe://example/fc 1"), "");
}

TEST(CertificateNamesTest, AConfiguredNameIsOfTheKindItLooksLike) {
  EXPECT_EQ(CanonicalName("FC-1.example"), "fc-1.example");
  EXPECT_EQ(CanonicalName("spiffe://Example/fc-1"), "spiffe://Example/fc-1");
  EXPECT_EQ(CanonicalName("*.example"), "");
  EXPECT_EQ(CanonicalName(""), "");
}

}  // namespace
}  // namespace lockhost::server
