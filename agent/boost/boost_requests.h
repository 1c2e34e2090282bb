// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_BOOST_REQUESTS_H_
#define LOCKHOST_AGENT_BOOST_BOOST_REQUESTS_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "agent/boost/booster.h"
#include "agent/channel/packet.h"
#include "agent/channel/protocol.h"
#include "common/token_bucket.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// INVALID_ARGUMENT: another type, size or version, or fields out of range. at_ns is not the
// asker's to say, and stays 0. Pure.
absl::StatusOr<BoostRequest> ParseBoostRequest(const Packet& packet);

// What lockhostd asks of the booster for guests, over a socket that it shares with the
// booster's own thread. That thread is real time and its peer has no privilege, so the pace
// is the reader's: what comes faster waits in the socket, and then the sender is told that it
// is full. A peer that breaks the protocol is not listened to any more.
//
// Not thread-safe, but for peer_fd().
class BoostRequests {
 public:
  static constexpr uint32_t kPerSecond = 1'000;
  static constexpr uint32_t kAtOnce = 32;

  static absl::StatusOr<BoostRequests> Create();

  // The other end, for lockhostd; stays this object's.
  int peer_fd() const { return theirs_.get(); }
  // Readable when there is something to take; -1: nobody is listened to any more.
  int fd() const { return ours_.get(); }

  // Hands over what has come, as far as the pace allows. When it is to be called again
  // though the socket is readable all the time: until then it must not be waited for;
  // 0: wait for the socket.
  uint64_t Take(uint64_t now_ns, const std::function<void(const BoostRequest&)>& take);

 private:
  BoostRequests(UniqueFd ours, UniqueFd theirs)
      : ours_(std::move(ours)), theirs_(std::move(theirs)), pace_(kPerSecond, kAtOnce) {}

  UniqueFd ours_;
  UniqueFd theirs_;
  TokenBucket pace_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_BOOST_REQUESTS_H_
