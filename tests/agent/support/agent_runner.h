// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_AGENT_RUNNER_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_AGENT_RUNNER_H_

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "agent/channel/agent_client.h"
#include "agent/daemon/agent.h"
#include "agent/loop/event_loop.h"
#include "agent/table/table_reader.h"
#include "tests/agent/support/temp_dir.h"

namespace lockhost::agent {

// A whole agent in a thread of the test, nothing pinned, its socket in a directory of
// its own. Since the channel goes by processes, the test itself is the VMM.
class AgentRunner {
 public:
  static absl::StatusOr<std::unique_ptr<AgentRunner>> Start(AgentOptions options);
  ~AgentRunner();

  const std::string& socket() const { return socket_; }

 private:
  AgentRunner() = default;

  TempDir directory_;
  std::string socket_;
  UniqueFd stop_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Agent> agent_;
  std::thread thread_;
};

// Whether the BPF source can be had here; if not, why. For tests of the program, which would not
// start.
absl::Status CheckBpfSource();

// Skips the test where the BPF source cannot be had, with the reason.
#define LOCKHOST_START_BPF_AGENT_OR_SKIP(name)                       \
  auto name##_or = AgentRunner::Start({.source = "bpf"});            \
  if (!name##_or.ok()) GTEST_SKIP() << name##_or.status().message(); \
  auto& name = *name##_or  // NOLINT(bugprone-macro-parentheses): a name that is declared

// What a client holds of one VM.
struct ClientVm {
  VmMessage message{};
  std::unique_ptr<TableReader> table;
};

// Waits for the table of the next VM of this process that the agent tells of.
absl::StatusOr<ClientVm> AwaitVm(AgentClient& client);

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_AGENT_RUNNER_H_
