// SPDX-License-Identifier: Apache-2.0

// The program with each of its capabilities taken away in turn: it serves by the best
// source that is left and says why, or says why it cannot.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "agent/channel/agent_client.h"
#include "tests/agent/support/agent_process.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/temp_dir.h"

namespace lockhost::agent {
namespace {

// What the unit grants (deploy/systemd/lockhost-agent.service).
constexpr int kGranted[] = {CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH,
                            CAP_SYS_RESOURCE};

// Leaves the calling process, and what it executes as root, with those of the unit but one.
void KeepAllBut(int dropped) {
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    bool kept = false;
    for (const int granted : kGranted) kept |= granted == capability && granted != dropped;
    if (!kept) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
}

class CapabilitiesTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (getuid() != 0) GTEST_SKIP() << "needs root: capabilities are to be taken away";
  }
  std::string socket() const { return directory_.path() + "/agent.sock"; }
  std::string Log() const {
    std::stringstream text;
    text << std::ifstream(directory_.path() + "/log").rdbuf();
    return text.str();
  }
  SourceMessage Ask() {
    auto client = AgentClient::Connect(socket());
    EXPECT_TRUE(client.ok() && client->Subscribe().ok()) << client.status();
    auto event = client->Await(kPatience);
    EXPECT_TRUE(event.ok()) << event.status() << Log();
    return event.ok() ? std::get<SourceEvent>(*event).message : SourceMessage{};
  }
  void StartWithout(int capability) {
    agent_ = std::make_unique<AgentProcess>(
        std::vector<std::string>{"--socket=" + socket(), "--pin-dir="}, directory_.path() + "/log",
        [capability] { KeepAllBut(capability); });
    ASSERT_TRUE(Eventually([&] { return AgentClient::Connect(socket()).ok(); })) << Log();
  }

  TempDir directory_;
  std::unique_ptr<AgentProcess> agent_;
};

TEST_P(CapabilitiesTest, AgentServesAndSaysWhyNotByBpf) {
  StartWithout(GetParam());
  const SourceMessage source = Ask();
  const bool needed_by_bpf = GetParam() == CAP_BPF || GetParam() == CAP_PERFMON;
  if (needed_by_bpf) {
    EXPECT_NE(source.source, SourceKind::kBpf);
    EXPECT_NE(std::string(FieldText(source.reason)).find("bpf: "), std::string::npos)
        << FieldText(source.reason);
  } else if (source.source != SourceKind::kBpf) {
    GTEST_SKIP() << "no BPF here at all: " << FieldText(source.reason);
  }
  EXPECT_EQ(agent_->End(SIGTERM), 0) << Log();
}

INSTANTIATE_TEST_SUITE_P(EachInTurn, CapabilitiesTest, testing::ValuesIn(kGranted));

TEST_F(CapabilitiesTest, WithAllOfTheUnitsCapabilitiesItIsBpf) {
  StartWithout(-1);
  const SourceMessage source = Ask();
  if (source.source != SourceKind::kBpf) GTEST_SKIP() << FieldText(source.reason);
  EXPECT_TRUE(FieldText(source.reason).empty());
}

}  // namespace
}  // namespace lockhost::agent
