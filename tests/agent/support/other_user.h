// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_OTHER_USER_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_OTHER_USER_H_

#include <sys/wait.h>
#include <unistd.h>

namespace lockhost::agent {

inline constexpr uid_t kNobody = 65534;

// What `body` returns in a process of its own, as another user if `uid` is not 0; -1 if
// it did not end by itself.
template <typename Body>
int InChild(uid_t uid, Body body) {
  const pid_t child = fork();
  if (child == 0) {
    if (uid != 0 && (setgid(uid) != 0 || setuid(uid) != 0)) _exit(125);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_OTHER_USER_H_
