// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_HINT_RECEIVER_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_HINT_RECEIVER_H_

#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "client/guest_agent/hint_page_writer.h"
#include "client/guest_agent/stats.h"
#include "common/clock.h"
#include "lockhost/v1/hints.pb.h"

namespace lockhost::guest_agent {

// From messages of the host to the hint page; knows nothing of gRPC.
//
// Without demand no deltas come, so what the slots say would go stale: they say "no
// hint" then, whatever arrives. With `slots_elsewhere` (the VM's own table is the page
// with the slots) only header and lease are written.
//
// Thread-safe: the stream's thread applies, the main thread tells of demand. Nobody
// holds the lock longer than it takes to write the page.
class HintReceiver {
 public:
  struct Options {
    uint64_t longest_lease_ns = 10'000'000'000;  // the host's lease is cut to this
    bool slots_elsewhere = false;
  };

  // `page` and `stats` outlive the receiver.
  HintReceiver(HintPageWriter* page, Stats* stats, Clock clock, Options options);

  // A message has arrived just now. INVALID_ARGUMENT: it breaks the protocol; the page
  // is void, and the stream should be dropped.
  absl::Status Apply(const v1::WatchHintsResponse& message);

  // The stream has ended: the page is void at once; the next message must be a snapshot.
  void StreamLost();

  // Somebody waits in a lock's slow path, or nobody does any more.
  void SetDemand(bool demand);

  // Generation of the last snapshot, 0 when there is none: reports speak of it.
  uint64_t generation() const;
  // Revision of the last hint for this vCPU, 0 when none has come.
  uint64_t revision(uint32_t vcpu_id) const;

 private:
  void ApplySnapshot(const v1::Snapshot& snapshot);
  void ApplyDelta(const v1::Delta& delta);
  void ApplyVcpus(const google::protobuf::RepeatedPtrField<v1::VcpuHint>& vcpus);

  HintPageWriter* const page_;
  Stats* const stats_;
  const Clock clock_;
  const Options options_;

  mutable std::mutex mutex_;
  bool demand_ = false;
  uint32_t known_slots_ = 0;  // of the last snapshot; 0: none on this stream
  uint64_t generation_ = 0;
  std::vector<uint64_t> revisions_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_HINT_RECEIVER_H_
