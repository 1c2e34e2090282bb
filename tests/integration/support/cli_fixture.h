// SPDX-License-Identifier: Apache-2.0
//
// The operator's program, run as an operator runs it.
#ifndef LOCKHOST_TESTS_INTEGRATION_SUPPORT_CLI_FIXTURE_H_
#define LOCKHOST_TESTS_INTEGRATION_SUPPORT_CLI_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>

#include "tests/integration/support/test_host.h"

namespace lockhost {

struct Outcome {
  int code = -1;
  std::string output;  // both streams
};

inline Outcome RunCli(const std::string& arguments) {
  Outcome outcome;
  FILE* pipe = popen((std::string(LOCKHOST_CLI_PROGRAM) + " " + arguments + " 2>&1").c_str(), "re");
  char buffer[4096];
  for (size_t got; pipe != nullptr && (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
    outcome.output.append(buffer, got);
  }
  const int status = pipe != nullptr ? pclose(pipe) : -1;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

// With a lockhostd that serves.
class CliTest : public testing::Test {
 protected:
  CliTest() {
    EXPECT_TRUE(Eventually([this] { return host_.Serves(); }));
  }
  Outcome Ask(const std::string& arguments) { return RunCli(arguments + " --socket=" + Socket()); }
  std::string Socket() const { return host_.AdminSocket(); }
  TestHost host_;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_INTEGRATION_SUPPORT_CLI_FIXTURE_H_
