// SPDX-License-Identifier: Apache-2.0

// What an agent tells of a VM over its channel, beside the table.
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>

#include "agent/channel/packet.h"
#include "tests/agent/support/agent_runner.h"
#include "tests/agent/support/spinner.h"

namespace lockhost::agent {
namespace {

TEST(VmFactsTest, TheAcceleratorIsTold) {
  Spinner vcpu("CPU 0/TCG");
  const auto agent = AgentRunner::Start({.source = "procfs"});
  ASSERT_TRUE(agent.ok()) << agent.status();
  auto client = AgentClient::Connect((*agent)->socket());
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE(client->RequestOwnTable().ok());
  const auto vm = AwaitVm(*client);
  ASSERT_TRUE(vm.ok()) << vm.status();
  EXPECT_EQ(FieldText(vm->message.accelerator), "tcg");
  EXPECT_EQ(vm->message.memory_bytes, 0u) << "nobody knows";
}

}  // namespace
}  // namespace lockhost::agent
