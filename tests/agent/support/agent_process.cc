// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/support/agent_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace lockhost::agent {

AgentProcess::AgentProcess(const std::vector<std::string>& arguments, const std::string& log,
                           const std::function<void()>& before_exec) {
  std::vector<char*> argv = {const_cast<char*>(LOCKHOST_AGENT_PROGRAM)};
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (file >= 0) dup2(file, STDERR_FILENO);
  if (before_exec) before_exec();
  execv(argv[0], argv.data());
  _exit(127);
}

AgentProcess::~AgentProcess() { End(SIGKILL); }

int AgentProcess::End(int signal) {
  if (pid_ <= 0) return -1;
  kill(pid_, signal);
  return Wait();
}

int AgentProcess::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace lockhost::agent
