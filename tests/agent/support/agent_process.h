// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_AGENT_PROCESS_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_AGENT_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace lockhost::agent {

// The program `lockhost-agent` in a process of its own; killed at the end.
class AgentProcess {
 public:
  // `log` is the file that its standard error goes to (appended). `before_exec` runs in the
  // new process.
  AgentProcess(const std::vector<std::string>& arguments, const std::string& log,
               const std::function<void()>& before_exec = {});
  ~AgentProcess();
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Sends the signal and waits for the end. Returns the exit code; -1 if it was killed.
  int End(int signal);
  // Waits for it to end by itself.
  int Wait();

 private:
  pid_t pid_ = -1;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_AGENT_PROCESS_H_
