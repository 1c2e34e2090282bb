// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DAEMON_MODE_H_
#define LOCKHOST_AGENT_DAEMON_MODE_H_

#include <cstdint>

#include "client/page/hint_page.h"

namespace lockhost::agent {

// What lock mode the host advises, by its vCPU ratio. DEDICATED is never advised from
// here: that there are CPUs enough does not give each vCPU one of its own. Pure.
inline lockhost_mode AdvisedMode(uint32_t live_vcpus, uint32_t online_cpus) {
  return live_vcpus > online_cpus ? LOCKHOST_MODE_OVERCOMMITTED : LOCKHOST_MODE_UNSPECIFIED;
}

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_DAEMON_MODE_H_
