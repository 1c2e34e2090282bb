// SPDX-License-Identifier: Apache-2.0

// Steal time in the table against what KVM tells the guest itself.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/cpus.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {
namespace {

TEST(StealTest, IsWhatTheGuestReadsInItsOwnRecord) {
  if (!WatchFromLastCpu()) GTEST_SKIP() << "one CPU alone";
  LOCKHOST_START_BPF_AGENT_OR_SKIP(agent);
  auto vm = TinyVm::Create(2);
  if (!vm.ok()) GTEST_SKIP() << vm.status().message();
  for (int vcpu : {0, 1}) {
    const absl::Status kept = (*vm)->KeepStealRecord(vcpu);
    if (!kept.ok()) GTEST_SKIP() << "this KVM keeps no steal records: " << kept.message();
  }
  (*vm)->StartThread(0);
  (*vm)->StartThread(1);
  auto client = AgentClient::Connect(agent->socket());
  ASSERT_TRUE(client.ok() && client->RequestOwnTable().ok());
  const auto seen = AwaitVm(*client);
  ASSERT_TRUE(seen.ok()) << seen.status();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  for (const uint32_t vcpu : {0u, 1u}) {
    (*vm)->Park(static_cast<int>(vcpu));
    ASSERT_TRUE(Eventually(
        [&] { return seen->table->Read(vcpu).run_state() == LOCKHOST_RUN_STATE_EXITED; }));
    const auto guest = static_cast<double>((*vm)->GuestStealNs(static_cast<int>(vcpu)));
    const auto host = static_cast<double>(seen->table->Read(vcpu).steal_ns);
    EXPECT_GT(guest, 1e8) << "two vCPUs shared a CPU for a second";
    EXPECT_NEAR(host, guest, 0.01 * guest);
  }
}

}  // namespace
}  // namespace lockhost::agent
