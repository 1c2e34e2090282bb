// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_KEEP_REGISTERED_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_KEEP_REGISTERED_H_

#include <gtest/gtest.h>

#include <string>

#include "tests/agent/support/register_threads.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {

// Has the agent told of the VM's threads whenever one is given a vCPU, as a VMM without KVM
// would. If the agent does not take it the test fails.
inline void KeepRegistered(TinyVm& vm, const std::string& agent_socket) {
  vm.OnVcpuThread([&vm, agent_socket] {
    const absl::Status registered = RegisterThreads(vm, agent_socket);
    EXPECT_TRUE(registered.ok()) << registered;
  });
}

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_KEEP_REGISTERED_H_
