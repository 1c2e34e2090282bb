// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_SPINNER_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_SPINNER_H_

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/agent/support/cpus.h"

namespace lockhost::agent {

// A thread that stands in for a vCPU where there is no KVM: it spins or sleeps as told.
class Spinner {
 public:
  // Bound to the first CPU: see TinyVm. The name has at most 15 characters.
  explicit Spinner(const std::string& name) : thread_([this, name] { Run(name); }) { tid_.wait(0); }
  ~Spinner() {
    stop_ = true;
    Sleep(false);
    if (thread_.joinable()) thread_.join();
  }
  Spinner(const Spinner&) = delete;
  Spinner& operator=(const Spinner&) = delete;

  pid_t tid() const { return tid_; }
  void Sleep(bool asleep) {
    asleep_ = asleep;
    asleep_.notify_all();
  }

 private:
  void Run(const std::string& name) {
    pthread_setname_np(pthread_self(), name.c_str());
    BindToCpu(0);
    tid_ = gettid();
    tid_.notify_all();
    while (!stop_) asleep_.wait(true);
  }

  std::atomic<pid_t> tid_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> asleep_ = false;
  std::thread thread_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_SPINNER_H_
