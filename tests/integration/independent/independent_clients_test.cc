// SPDX-License-Identifier: Apache-2.0
//
// Clients that share no code with lockhostd: Node's @grpc/grpc-js speaks the whole API, h2load
// of nghttp2 drives it. Both are skipped where they are not installed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Outcome {
  int code = -1;
  std::string output;  // both streams
};

Outcome RunShell(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen((command + " 2>&1").c_str(), "re");
  char buffer[4096];
  for (size_t got; pipe != nullptr && (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
    outcome.output.append(buffer, got);
  }
  const int status = pipe != nullptr ? pclose(pipe) : -1;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

// Where modules may be: where the caller says, where `make test-long` puts them, where npm
// puts those of the whole machine.
std::string NodeCommand() {
  const char* given = std::getenv("NODE_PATH");
  const std::string path = std::string(given != nullptr ? given : "") + ":" + LOCKHOST_NPM_MODULES;
  return "NODE_PATH=\"" + path + ":$(npm root -g 2>/dev/null)\" node ";
}

// Changes the state of vCPU 0 again and again, until the end.
class BusyVcpu {
 public:
  explicit BusyVcpu(TestAgent& agent)
      : thread_([this, &agent] {
          for (int change = 0; !stop_; ++change) {
            agent.SetState(TestHost::kVm, 0,
                           change % 2 ? LOCKHOST_RUN_STATE_RUNNING : LOCKHOST_RUN_STATE_PREEMPTED);
            poll(nullptr, 0, 20);
          }
        }) {}
  ~BusyVcpu() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class IndependentClientsTest : public testing::Test {
 protected:
  IndependentClientsTest() {
    EXPECT_TRUE(Eventually([this] { return host_.Serves(); }));
  }

  // h2load with calls of `path` whose message is empty.
  Outcome Load(const std::string& socket, const std::string& path, const std::string& options) {
    const std::string message = directory_.path() + "/message";
    std::ofstream(message) << std::string(5, '\0');
    return RunShell("timeout 60 h2load " + options + " -d " + message +
                    " -H 'content-type: application/grpc' -H 'te: trailers' --base-uri=unix:" +
                    socket + " http://localhost" + path);
  }

  agent::TempDir directory_;
  TestHost host_;
};

TEST_F(IndependentClientsTest, GrpcJsSpeaksTheWholeApi) {
  const std::string node = NodeCommand();
  const Outcome found =
      RunShell(node + "-e \"require('@grpc/grpc-js'); require('@grpc/proto-loader')\"");
  if (found.code != 0) GTEST_SKIP() << "no Node with @grpc/grpc-js and @grpc/proto-loader";
  const BusyVcpu busy(host_.agent());
  const Outcome outcome =
      RunShell("timeout 60 env " + node + LOCKHOST_GRPC_JS_CLIENT " " LOCKHOST_PROTO_DIR " " +
               host_.VmSocket() + " " + host_.AdminSocket() + " " + std::to_string(TestHost::kVm));
  ASSERT_EQ(outcome.code, 0) << outcome.output;
  for (const char* what :
       {"snapshot", "heartbeat", "delta", "report answered", "bad request refused",
        "bad report refused", "no HostService for a guest", "list of VMs", "VM watched",
        "no such VM"}) {
    EXPECT_THAT(outcome.output, HasSubstr(std::string("seen: ") + what + "\n"));
  }
}

class H2LoadTest : public IndependentClientsTest {
 protected:
  void SetUp() override {
    if (RunShell("h2load --version").code != 0) GTEST_SKIP() << "no h2load (nghttp2-client)";
  }
};

TEST_F(H2LoadTest, AnOperatorsCallsAllSucceed) {
  const Outcome outcome =
      Load(host_.AdminSocket(), "/lockhost.v1.HostService/ListVms", "-n 5000 -c 8 -m 8");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("5000 succeeded, 0 failed, 0 errored"),
                                    HasSubstr("status codes: 5000 2xx")));
}

// Far more calls than a guest may make: its connections are closed, another one's hints go on.
TEST_F(H2LoadTest, AGuestThatCallsTooMuchIsCutOffAlone) {
  host_.agent().AddVm(8, 4);
  ASSERT_TRUE(Eventually([&] { return host_.Serves(8); }));
  TestGuest neighbour(host_.VmSocket(8));
  ASSERT_TRUE(Eventually([&] { return neighbour.HasLease(); }));
  const Outcome outcome =
      Load(host_.VmSocket(), "/lockhost.v1.HintService/WatchHints", "-n 20000 -c 8 -m 8");
  EXPECT_THAT(outcome.output, HasSubstr("requests: 20000 total"));
  EXPECT_THAT(outcome.output, testing::Not(HasSubstr("20000 succeeded")));
  const auto record = host_.server().directory().Find(TestHost::kVm);
  EXPECT_GT(record->counters().connections.of(server::Refusal::kFlood).load(), 0u);
  EXPECT_TRUE(neighbour.HasLease());
  EXPECT_EQ(neighbour.stats().connects, 1u);
}

}  // namespace
}  // namespace lockhost
