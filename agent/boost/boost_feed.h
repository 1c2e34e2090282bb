// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_BOOST_FEED_H_
#define LOCKHOST_AGENT_BOOST_BOOST_FEED_H_

namespace lockhost::agent {

// What boosting needs of a source of run states; the descriptors stay the source's.
struct BoostFeed {
  int ring_fd = -1;  // BPF ring buffer of lh_boost_event (agent/bpf/shared.h)
  int vms_fd = -1;   // BPF array of lh_vm, mappable
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_BOOST_FEED_H_
