// SPDX-License-Identifier: Apache-2.0
//
// The real lockhostd with a TLS listener, two VMs and certificates that are made when the test
// runs.
#ifndef LOCKHOST_TESTS_INTEGRATION_SUPPORT_TLS_FIXTURE_H_
#define LOCKHOST_TESTS_INTEGRATION_SUPPORT_TLS_FIXTURE_H_

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>

#include "tests/integration/support/lockhostd_process.h"
#include "tests/integration/support/test_host.h"
#include "tests/server/tls/test_ca.h"

namespace lockhost {

inline constexpr auto kPreempted = static_cast<uint32_t>(LOCKHOST_RUN_STATE_PREEMPTED);
inline constexpr auto kHalted = static_cast<uint32_t>(LOCKHOST_RUN_STATE_HALTED);

inline constexpr char kGuests[] =
    "guest { certificate_name: 'fc-1.guests.example' vm: 'fc-1' }"
    "guest { certificate_name: 'spiffe://example/fc-2' vm: 'fc-2' }"
    "guest { certificate_name: 'gone.example' vm: 'gone' }";

class TlsTest : public testing::Test {
 protected:
  TlsTest() : agent_(directory_.path() + "/agent.sock", 1) {
    ca_.Write(Path("ca.pem"));
    ca_.Issue(Path("server"), {.alternative_names = "IP:127.0.0.1", .usage = "serverAuth"});
    agent_.AddVm(7, 7, 0, "fc-1");
    agent_.AddVm(8, 8, 0, "fc-2");
    agent_.SetState(7, 0, LOCKHOST_RUN_STATE_PREEMPTED);
    agent_.SetState(8, 0, LOCKHOST_RUN_STATE_HALTED);
  }

  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }

  void Configure(const std::string& guests, const std::string& more = "") {
    std::ofstream(Path("lockhostd.conf"))
        << "tls { address: '127.0.0.1:" << port_ << "' certificate_file: '" << Path("server.pem")
        << "' key_file: '" << Path("server.key") << "' client_ca_file: '" << Path("ca.pem") << "' "
        << guests << "}" << more;
  }

  void Start() {
    lockhostd_.Start({"--config=" + Path("lockhostd.conf"), "--agent-socket=" + Path("agent.sock"),
                      "--run-dir=" + Path("run"),
                      "--metrics-address=127.0.0.1:" + std::to_string(metrics_port_)});
  }

  void Serve(const std::string& more = "", const std::string& guests = kGuests) {
    Configure(guests, more);
    Start();
    ASSERT_TRUE(Eventually([&] { return Metric("lockhost_vms") == 2; }));
  }

  // -1: there is none of that name.
  double Metric(const std::string& name) const {
    const std::string metrics = HttpGet(metrics_port_, "/metrics");
    const size_t at = metrics.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(metrics.substr(at + name.size() + 2));
  }
  double Refused(const std::string& reason) const {
    return Metric("lockhost_tls_refused_total{reason=\"" + reason + "\"}");
  }
  bool IsRefused(const std::string& reason) const {
    return Eventually([&] { return Refused(reason) >= 1; });
  }

  // A guest that shows `files`.
  std::unique_ptr<TestGuest> Guest(const CertificateFiles& files) const {
    return std::make_unique<TestGuest>(
        "ipv4:127.0.0.1:" + std::to_string(port_),
        guest_agent::TlsFiles{Path("ca.pem"), files.certificate, files.key});
  }
  std::unique_ptr<TestGuest> GuestNamed(const std::string& alternative_names) const {
    return Guest(ca_.Issue(Path("guest"), {.alternative_names = alternative_names}));
  }
  CertificateFiles GoodFiles() const {
    return ca_.Issue(Path("good"), {.alternative_names = "DNS:fc-1.guests.example"});
  }

  static bool IsServed(const std::unique_ptr<TestGuest>& guest) {
    return Eventually([&] { return guest->HasLease(); });
  }
  static bool Sees(TestGuest* guest, uint32_t state) {
    return Eventually([&] {
      guest->Wait(0);
      return guest->Hint(0) == state;
    });
  }

  void ExpectRefused(const CertificateFiles& files, const std::string& reason) const {
    const double before = Refused(reason);
    const auto guest = Guest(files);
    EXPECT_TRUE(Eventually([&] { return Refused(reason) > before; })) << reason;
    EXPECT_FALSE(guest->HasLease()) << reason;
  }

  agent::TempDir directory_;
  const TestCa ca_;
  const int port_ = FreePort();
  const int metrics_port_ = FreePort();
  TestAgent agent_;
  LockhostdProcess lockhostd_;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_INTEGRATION_SUPPORT_TLS_FIXTURE_H_
