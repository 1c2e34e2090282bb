// SPDX-License-Identifier: Apache-2.0
//
// lockhostd as a process of its own, and what can be seen of it from outside.
#ifndef LOCKHOST_TESTS_INTEGRATION_SUPPORT_LOCKHOSTD_PROCESS_H_
#define LOCKHOST_TESTS_INTEGRATION_SUPPORT_LOCKHOSTD_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lockhost {

// A TCP port of the loopback that is free now.
int FreePort();
// The answer's head and body; empty if nobody answers.
std::string HttpGet(int port, const std::string& path);

class LockhostdProcess {
 public:
  LockhostdProcess() = default;
  ~LockhostdProcess();
  LockhostdProcess(const LockhostdProcess&) = delete;
  LockhostdProcess& operator=(const LockhostdProcess&) = delete;

  // What a service manager hands over: descriptors from 3 up, and what it says of them.
  struct Inherited {
    std::string names;  // LISTEN_FDNAMES
    std::vector<int> fds;
    std::string count = "";  // LISTEN_FDS; empty: as many as there are
    std::string pid = "";    // LISTEN_PID; empty: the process's own
  };

  void Start(std::vector<std::string> arguments);
  void Start(std::vector<std::string> arguments, const Inherited& inherited);
  void Kill(int signal) const;
  // Exit status; the signal's number below 0; -1 if it does not end.
  int AwaitExit();

  pid_t pid() const { return pid_; }
  uint64_t RssBytes() const;
  // User and system time so far.
  uint64_t CpuMs() const;

 private:
  pid_t pid_ = 0;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_INTEGRATION_SUPPORT_LOCKHOSTD_PROCESS_H_
