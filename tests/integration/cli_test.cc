// SPDX-License-Identifier: Apache-2.0
//
// The operator's program against a real lockhostd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "tests/agent/support/other_user.h"
#include "tests/integration/support/cli_fixture.h"

namespace lockhost {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(CliTest, ListsVms) {
  const Outcome table = Ask("vms");
  EXPECT_EQ(table.code, 0) << table.output;
  EXPECT_THAT(table.output, HasSubstr("\n               7 "));
  const Outcome json = Ask("vms --json");
  EXPECT_EQ(json.code, 0);
  EXPECT_THAT(json.output, StartsWith(R"({"vms":[{"vm_id":"7",)"));
  EXPECT_THAT(json.output, HasSubstr(R"("source":"procfs")"));
}

TEST_F(CliTest, WatchesAVmForSoManyMessages) {
  host_.agent().SetState(TestHost::kVm, 1, LOCKHOST_RUN_STATE_PREEMPTED);
  const Outcome watched = Ask("watch 7 --count=2 --interval=100ms");
  EXPECT_EQ(watched.code, 0) << watched.output;
  EXPECT_THAT(watched.output, HasSubstr("vCPU 0  running"));
  EXPECT_THAT(watched.output, HasSubstr("vCPU 1  preempted"));
  const size_t first = watched.output.find("VM 7");
  EXPECT_NE(watched.output.find("VM 7", first + 1), std::string::npos);
}

TEST_F(CliTest, WatchEndsWithTheReasonWhenTheVmIsUnknown) {
  const Outcome unknown = Ask("watch nosuch");
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.output, HasSubstr("no VM nosuch here"));
}

TEST_F(CliTest, TopWithoutATerminalPrintsFrames) {
  const Outcome top = Ask("top --count=2 --interval=100ms");
  EXPECT_EQ(top.code, 0) << top.output;
  EXPECT_EQ(top.output.find('\x1b'), std::string::npos);
  const size_t first = top.output.find("1 VM, 2 vCPUs: 2 running");
  ASSERT_NE(first, std::string::npos) << top.output;
  EXPECT_NE(top.output.find("1 VM, 2 vCPUs", first + 1), std::string::npos);
  EXPECT_THAT(top.output, HasSubstr("0.0"));  // a rate, which needs two looks
}

TEST_F(CliTest, WatchAndTopSpeakJsonAnObjectALine) {
  for (const char* command : {"watch 7", "top"}) {
    const Outcome json = Ask(std::string(command) + " --json --count=2 --interval=100ms");
    EXPECT_EQ(json.code, 0) << json.output;
    EXPECT_THAT(json.output, StartsWith("{"));
    EXPECT_THAT(json.output, HasSubstr(R"("vm_id":"7")"));
    EXPECT_THAT(json.output, HasSubstr(R"("run_state":"RUN_STATE_RUNNING")"));
    EXPECT_EQ(std::count(json.output.begin(), json.output.end(), '\n'), 2) << json.output;
  }
}

TEST_F(CliTest, AUserWhoMayNotAskIsToldWhoMay) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const int shut_out = agent::InChild(agent::kNobody, [&] {
    const Outcome outcome = Ask("vms");
    const bool said = outcome.output.find("lockhost: you may not open " + Socket() +
                                          "; be root or of the group ") == 0;
    return outcome.code == 1 && said ? 0 : 1;
  });
  EXPECT_EQ(shut_out, 0);
}

TEST_F(CliTest, AMissingDaemonIsSaidWithTheUnitToStart) {
  for (const char* command : {"vms", "watch 7", "top"}) {
    const Outcome outcome = RunCli(std::string(command) + " --socket=/nowhere/admin.sock");
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.output, HasSubstr("systemctl start lockhostd"));
  }
}

TEST_F(CliTest, TracesBoostsAsTheyCame) {
  const uint64_t now_ns = MonotonicClock().now_ns();
  host_.agent().StartBoosting(TestHost::kVm, {.vm_id = TestHost::kVm,
                                              .vcpu_id = 1,
                                              .end = agent::BoostEnd::kReleased,
                                              .preempted_at_ns = now_ns,
                                              .raised_at_ns = now_ns + 62'000,
                                              .running_at_ns = now_ns + 85'000,
                                              .ended_at_ns = now_ns + 130'000});
  Outcome traced;
  ASSERT_TRUE(Eventually([&] {  // until lockhostd has heard of it
    traced = Ask("trace 7 --count=1");
    return traced.code == 0;
  })) << traced.output;
  EXPECT_THAT(traced.output,
              HasSubstr(" vCPU 1 preempted, boost +62us, ran +85us, released +130us"));
  const Outcome json = Ask("trace 7 --count=1 --json");
  EXPECT_EQ(json.code, 0);
  EXPECT_THAT(json.output, HasSubstr(R"("end":"BOOST_END_RELEASED")"));
  EXPECT_THAT(json.output, HasSubstr(R"("running_after_ns":"85000")"));
}

TEST_F(CliTest, ATraceThatWouldStayEmptySaysWhy) {
  const Outcome nobody = Ask("trace 7");
  EXPECT_EQ(nobody.code, 1);
  EXPECT_THAT(nobody.output, HasSubstr("whether it boosts anybody"));
  const Outcome unknown = Ask("trace nosuch");
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.output, HasSubstr("no VM nosuch here"));
  EXPECT_EQ(Ask("trace").code, 2);
}

TEST_F(CliTest, BoostsAreSwitchedForOneVmOrAll) {
  const std::string agent = " --agent_socket=" + host_.AgentSocket();
  EXPECT_EQ(Ask("boost 7 off" + agent).code, 0);
  EXPECT_EQ(Ask("boost all on" + agent).code, 0);
  EXPECT_EQ(host_.agent().Boosted(), (std::map<uint64_t, bool>{{0, true}, {TestHost::kVm, false}}));
  const Outcome refused = Ask("boost all off" + agent);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.output, HasSubstr("no boosts here: for a reason"));
  EXPECT_EQ(Ask("boost nosuch on" + agent).code, 1);
  EXPECT_EQ(Ask("boost all on --agent_socket=/nowhere/agent.sock").code, 1);
}

TEST_F(CliTest, MistakesInUseExitWithTwo) {
  for (const char* bad : {"", "nosuch", "watch", "vms extra", "top --interval=1ms",
                          "vms --deadline=0s", "boost 7", "boost 7 maybe"}) {
    EXPECT_EQ(RunCli(bad).code, 2) << bad;
  }
}

TEST_F(CliTest, DoctorAsksTheRunningLockhostd) {
  const Outcome with = Ask("doctor --host --agent_socket=/nowhere/agent.sock");
  EXPECT_THAT(with.output, HasSubstr("runs and answers"));
  EXPECT_EQ(with.code, 1);  // no agent
  EXPECT_THAT(with.output, HasSubstr("systemctl enable --now lockhost-agent"));
  host_.StopServer();
  EXPECT_THAT(Ask("doctor --host --agent_socket=/nowhere/agent.sock").output,
              HasSubstr("guests are not served"));
}

}  // namespace
}  // namespace lockhost
