// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_TESTS_AGENT_SUPPORT_REGISTER_THREADS_H_
#define LOCKHOST_TESTS_AGENT_SUPPORT_REGISTER_THREADS_H_

#include <string>

#include "absl/status/status.h"
#include "tests/agent/support/tiny_vm.h"

namespace lockhost::agent {

// Tells an agent which threads run the VM's vCPUs now, in place of what it was told before. Of a
// real VM nothing is told: the agent has to find it by itself. Threads must be of the calling
// process, of whose VMs one alone can be registered.
absl::Status RegisterThreads(const TinyVm& vm, const std::string& agent_socket);

}  // namespace lockhost::agent

#endif  // LOCKHOST_TESTS_AGENT_SUPPORT_REGISTER_THREADS_H_
