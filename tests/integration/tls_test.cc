// SPDX-License-Identifier: Apache-2.0
//
// Guests by TCP: the real lockhostd and the guest agent's own link, with certificates that
// are made when the test runs.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include "tests/integration/support/raw_http2.h"
#include "tests/integration/support/tls_client.h"
#include "tests/integration/support/tls_fixture.h"

namespace lockhost {
namespace {

TEST_F(TlsTest, AGuestIsTheVmOfItsCertificate) {
  Serve();
  const auto first = GuestNamed("DNS:FC-1.guests.example");
  ASSERT_TRUE(IsServed(first));
  const auto second = GuestNamed("DNS:stranger.example,URI:spiffe://example/fc-2");
  ASSERT_TRUE(IsServed(second));
  EXPECT_TRUE(Sees(first.get(), kPreempted));
  EXPECT_TRUE(Sees(second.get(), kHalted));
  EXPECT_EQ(Metric("lockhost_streams{vm=\"7\"}"), 1);
  EXPECT_EQ(Metric("lockhost_streams{vm=\"8\"}"), 1);
}

TEST_F(TlsTest, CertificatesThatTheCaDoesNotStandForAreRefused) {
  Serve();
  const std::string name = "DNS:fc-1.guests.example";
  ExpectRefused(ca_.Issue(Path("old"), {.alternative_names = name, .valid_until_s = -60}),
                "expired_certificate");
  ExpectRefused(ca_.Issue(Path("early"), {.alternative_names = name, .valid_from_s = 600}),
                "bad_certificate");
  ExpectRefused(TestCa().Issue(Path("foreign"), {.alternative_names = name}), "bad_certificate");
  ExpectRefused(ca_.Issue(Path("a_server"), {.alternative_names = name, .usage = "serverAuth"}),
                "bad_certificate");
}

TEST_F(TlsTest, WhoShowsNoCertificateIsRefused) {
  Serve();
  const TlsClient client(port_, {});
  EXPECT_TRUE(IsRefused("no_certificate"));
}

TEST_F(TlsTest, NamesThatStandForNoVmOrForTwoAreRefused) {
  Serve();
  ExpectRefused(ca_.Issue(Path("stranger"), {.alternative_names = "DNS:stranger.example"}),
                "unknown_name");
  ExpectRefused(ca_.Issue(Path("common_name"), {.common_name = "fc-1.guests.example"}),
                "unknown_name");
  ExpectRefused(ca_.Issue(Path("both"), {.alternative_names = "DNS:fc-1.guests.example,"
                                                              "URI:spiffe://example/fc-2"}),
                "ambiguous");
  ExpectRefused(ca_.Issue(Path("gone"), {.alternative_names = "DNS:gone.example"}), "no_vm");
}

TEST_F(TlsTest, AVmIsServedFromWhenItIsThereAndWhileItsNameIsItsAlone) {
  Serve();
  const auto guest = GuestNamed("DNS:gone.example");
  ASSERT_TRUE(IsRefused("no_vm"));
  agent_.AddVm(9, 9, 0, "gone");
  EXPECT_TRUE(IsServed(guest));
  agent_.AddVm(10, 10, 0, "gone");
  ASSERT_TRUE(Eventually([&] { return Metric("lockhost_vms") == 4; }));
  const auto second = GuestNamed("DNS:gone.example");
  EXPECT_TRUE(IsRefused("ambiguous"));
  EXPECT_FALSE(second->HasLease());
}

TEST_F(TlsTest, AGuestDoesNotBelieveAHostOfAnotherCa) {
  Serve();
  TestCa().Write(Path("other_ca.pem"));
  const CertificateFiles files = GoodFiles();
  const TestGuest guest("ipv4:127.0.0.1:" + std::to_string(port_),
                        {Path("other_ca.pem"), files.certificate, files.key});
  EXPECT_TRUE(IsRefused("handshake"));
  EXPECT_FALSE(guest.HasLease());
}

TEST_F(TlsTest, PlainBytesAreRefused) {
  Serve();
  const UniqueFd plain = ConnectTcp(port_);
  const std::string hello = ClientHello();
  ASSERT_EQ(send(plain.get(), hello.data(), hello.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(hello.size()));
  EXPECT_TRUE(AwaitClosed(plain.get()));
  EXPECT_EQ(Refused("handshake"), 1);
}

TEST_F(TlsTest, WhoSaysNothingIsClosed) {
  Serve("tls_handshake_ms: 200");
  const UniqueFd silent = ConnectTcp(port_);
  EXPECT_TRUE(AwaitClosed(silent.get()));
  EXPECT_EQ(Refused("silent"), 1);
  // After the handshake the limits of the VM say so.
  Configure(kGuests, "silence_ms: 200");
  lockhostd_.Kill(SIGHUP);
  ASSERT_TRUE(
      Eventually([&] { return Metric("lockhost_config_reloads_total{result=\"applied\"}") == 1; }));
  TlsClient client(port_, GoodFiles());
  ASSERT_TRUE(client.connected());
  EXPECT_TRUE(client.AwaitClosed());
  EXPECT_EQ(Metric("lockhost_connections_refused_total{vm=\"7\",reason=\"silent\"}"), 1);
}

TEST_F(TlsTest, ManySilentOnesDoNotKeepAGuestOut) {
  Serve("tls_handshakes: 4 tls_handshake_ms: 60000");
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 12; ++i) silent.push_back(ConnectTcp(port_));
  const auto guest = GuestNamed("DNS:fc-1.guests.example");
  EXPECT_TRUE(IsServed(guest));
  EXPECT_GE(Refused("too_many"), 8);
  EXPECT_TRUE(AwaitClosed(silent.front().get()));
}

TEST_F(TlsTest, ConnectionsThatComeTooFastWait) {
  Serve("tls_accepts_per_second: 20 tls_accept_burst: 1");
  std::vector<UniqueFd> fast;
  for (int i = 0; i < 3; ++i) fast.push_back(ConnectTcp(port_));
  const auto guest = GuestNamed("DNS:fc-1.guests.example");
  EXPECT_TRUE(IsServed(guest));
  EXPECT_GE(Metric("lockhost_tls_accept_pauses_total"), 1);
}

TEST_F(TlsTest, AFloodOfFramesIsClosed) {
  Serve();
  TlsClient client(port_, GoodFiles());
  ASSERT_TRUE(client.Send(ClientHello()));
  std::string updates;
  for (int i = 0; i < 4000; ++i) {
    updates += Frame(FrameType::kWindowUpdate, 0, 0, std::string("\0\0\0\1", 4));
  }
  client.Send(updates);
  EXPECT_TRUE(client.AwaitClosed());
  EXPECT_EQ(Metric("lockhost_connections_refused_total{vm=\"7\",reason=\"flood\"}"), 1);
}

// Records that carry nothing for HTTP/2 cost time as well.
TEST_F(TlsTest, AFloodOfKeyUpdatesIsClosed) {
  Serve("byte_burst: 65536 bytes_per_second: 1024");
  TlsClient client(port_, GoodFiles());
  ASSERT_TRUE(client.Send(ClientHello()));
  int updates = 0;
  while (updates < 100'000 && client.UpdateKeys()) ++updates;
  EXPECT_LT(updates, 100'000);
  EXPECT_EQ(Metric("lockhost_connections_refused_total{vm=\"7\",reason=\"flood\"}"), 1);
}

TEST_F(TlsTest, SighupReadsTheFilesAgain) {
  Serve();
  const auto standing = GuestNamed("DNS:fc-1.guests.example");
  ASSERT_TRUE(IsServed(standing));
  const TestCa next;
  next.Write(Path("ca.pem"));
  next.Issue(Path("server"), {.alternative_names = "IP:127.0.0.1", .usage = "serverAuth"});
  const CertificateFiles files =
      next.Issue(Path("next"), {.alternative_names = "DNS:fc-1.guests.example"});
  ExpectRefused(GoodFiles(), "handshake");  // the guest: it believes the new CA already
  lockhostd_.Kill(SIGHUP);
  const auto guest = Guest(files);
  EXPECT_TRUE(IsServed(guest));
  EXPECT_TRUE(standing->HasLease());
  ExpectRefused(GoodFiles(), "bad_certificate");
}

TEST_F(TlsTest, RevokedCertificatesAreRefusedFromTheNextReloadOn) {
  const std::string revoked_too = "client_crl_file: '" + Path("crl.pem") + "' ";
  const CertificateFiles lost =
      ca_.Issue(Path("lost"), {.alternative_names = "DNS:fc-1.guests.example"});
  ca_.WriteRevoked(Path("crl.pem"), {});
  Serve("", revoked_too + kGuests);
  {
    const auto guest = Guest(lost);
    ASSERT_TRUE(IsServed(guest));
  }
  ca_.WriteRevoked(Path("crl.pem"), {lost.certificate});
  lockhostd_.Kill(SIGHUP);
  ASSERT_TRUE(
      Eventually([&] { return Metric("lockhost_config_reloads_total{result=\"applied\"}") == 1; }));
  ExpectRefused(lost, "revoked_certificate");
  EXPECT_TRUE(IsServed(Guest(GoodFiles())));
}

TEST_F(TlsTest, WithoutAListThatIsInDateNoCertificateOfThatCaIsBelieved) {
  ca_.WriteRevoked(Path("crl.pem"), {}, /*valid_until_s=*/-60);
  Serve("", "client_crl_file: '" + Path("crl.pem") + "' " + kGuests);
  ExpectRefused(GoodFiles(), "no_revocation_list");
  TestCa().WriteRevoked(Path("crl.pem"), {});
  lockhostd_.Kill(SIGHUP);
  ASSERT_TRUE(
      Eventually([&] { return Metric("lockhost_config_reloads_total{result=\"applied\"}") == 1; }));
  ExpectRefused(GoodFiles(), "no_revocation_list");
}

TEST_F(TlsTest, AnAddressThatConnectsTooFastIsTurnedAway) {
  Serve("tls_address_accepts_per_second: 1 tls_address_accept_burst: 2");
  std::vector<UniqueFd> fast;
  for (int i = 0; i < 8; ++i) fast.push_back(ConnectTcp(port_));
  EXPECT_TRUE(Eventually([&] { return Refused("address_too_fast") >= 4; }));
  // Nor is it kept out for ever.
  EXPECT_TRUE(IsServed(GuestNamed("DNS:fc-1.guests.example")));
}

TEST_F(TlsTest, SighupTakesOverGuestsAndLeavesWhatCannotBeRead) {
  Serve();
  Configure("guest { certificate_name: 'new.example' vm: 'fc-2' }");
  lockhostd_.Kill(SIGHUP);
  const auto guest = GuestNamed("DNS:new.example");
  ASSERT_TRUE(IsServed(guest));
  EXPECT_TRUE(Sees(guest.get(), kHalted));
  std::ofstream(Path("server.pem")) << "no certificate";
  lockhostd_.Kill(SIGHUP);
  EXPECT_TRUE(
      Eventually([&] { return Metric("lockhost_config_reloads_total{result=\"refused\"}") == 1; }));
  const auto again = GuestNamed("DNS:new.example");
  EXPECT_TRUE(IsServed(again));
}

TEST_F(TlsTest, FilesThatCannotBeUsedEndTheStart) {
  Configure(kGuests);
  const CertificateFiles other = ca_.Issue(Path("other"), {.usage = "serverAuth"});
  const auto start_without = [&](const std::string& name, const std::string& content) {
    const std::string path = Path(name);
    const std::string saved = path + ".saved";
    ASSERT_EQ(rename(path.c_str(), saved.c_str()), 0);
    if (!content.empty()) std::ofstream(path) << content;
    Start();
    EXPECT_EQ(lockhostd_.AwaitExit(), 2) << name << ": " << content;
    ASSERT_EQ(rename(saved.c_str(), path.c_str()), 0);
  };
  for (const char* name : {"server.pem", "server.key", "ca.pem"}) {
    start_without(name, "");
    start_without(name, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  }
  Configure("client_crl_file: '" + Path("server.pem") + "'");
  Start();
  EXPECT_EQ(lockhostd_.AwaitExit(), 2) << "a certificate for a list";
  Configure(kGuests);
  std::ifstream key(other.key);
  start_without("server.key", {std::istreambuf_iterator<char>(key), {}});
}

}  // namespace
}  // namespace lockhost
