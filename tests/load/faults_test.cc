// SPDX-License-Identifier: Apache-2.0
#include "tests/load/faults_fixture.h"
#include "tests/load/support/hostile_peers.h"

namespace lockhost::load {
namespace {

TEST_F(FaultsTest, SecondsOfFaultsBreakNoGuarantee) {
  HostilePeers peers(host_->SocketOf(kHostileVm), seed_);
  RunFaults(std::chrono::seconds(10));
  peers.Stop();
  EXPECT_GT(peers.connections(), 0u);
  Report();
  ExpectGuaranteesKept();
}

}  // namespace
}  // namespace lockhost::load
