// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_BOOST_BOOST_REQUESTER_H_
#define LOCKHOST_SERVER_BOOST_BOOST_REQUESTER_H_

#include <cstdint>
#include <mutex>
#include <vector>

#include "common/token_bucket.h"
#include "common/unique_fd.h"
#include "server/directory/vm_record.h"

namespace lockhost::server {

// A vCPU of the guest that holds a contended lock, as the guest says, and what it last heard
// of that vCPU.
struct AwaitedHolder {
  uint32_t vcpu_id = 0;
  uint64_t revision = 0;
};

// The way to the agent's booster. What it is asked for costs a real-time thread's wake-up, so
// nothing goes there that cannot be granted as far as can be seen from here. Thread-safe.
class BoostRequester {
 public:
  // An invalid socket: there is no agent, or it boosts nobody.
  void Use(UniqueFd socket);
  // Asks for each holder that is still preempted at its revision, as long as `pace`, the VM's
  // own, lasts. Counts what becomes of each in the VM's counters. Never blocks.
  void Ask(VmRecord* vm, const std::vector<AwaitedHolder>& holders, TokenBucket* pace,
           uint64_t now_ns);

 private:
  std::mutex mutex_;
  UniqueFd socket_;  // guarded by mutex_
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_BOOST_BOOST_REQUESTER_H_
