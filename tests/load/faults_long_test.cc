// SPDX-License-Identifier: Apache-2.0
//
// Ten minutes, or LOCKHOST_FAULT_SECONDS.
#include <cstdlib>

#include "tests/load/faults_fixture.h"
#include "tests/load/support/hostile_peers.h"

namespace lockhost::load {
namespace {

using std::chrono::seconds;

constexpr uint64_t kAttempts = 10'000;

TEST_F(FaultsTest, MinutesOfFaultsBreakNoGuarantee) {
  const char* asked = std::getenv("LOCKHOST_FAULT_SECONDS");
  const seconds time(asked != nullptr ? std::atoi(asked) : 600);
  const double quiet_us = DeliveryP99Us(seconds(15));
  HostilePeers peers(host_->SocketOf(kHostileVm), seed_);
  const double attacked_us = DeliveryP99Us(seconds(15));
  std::printf("delivery p99: %.0f us, beside an attack %.0f us\n", quiet_us, attacked_us);
  EXPECT_LE(attacked_us, 2 * quiet_us);
  RunFaults(time);
  EXPECT_TRUE(agent::Eventually([&] { return peers.attempts() >= kAttempts; }, seconds(60)));
  peers.Stop();
  Report();
  ExpectGuaranteesKept();
}

}  // namespace
}  // namespace lockhost::load
