// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SUBSCRIPTION_SUBSCRIPTION_H_
#define LOCKHOST_SERVER_SUBSCRIPTION_SUBSCRIPTION_H_

#include <cstdint>
#include <vector>

#include "agent/table/table_reader.h"
#include "lockhost/v1/hints.pb.h"

namespace lockhost::server {

// What one stream has been told, and what it is to be told next. It holds one word for
// each vCPU, the state last sent, and never a queue: however slow the guest, the memory
// is constant, and what it reads next is the latest state.
//
// Knows nothing of gRPC. Not thread-safe: the publisher's thread owns it.
class Subscription {
 public:
  struct Timing {
    uint64_t lease_ns = 3'000'000'000;
    uint64_t heartbeat_ns = 1'000'000'000;
    // A heartbeat may come this much early, so that many of them share one wake-up.
    uint64_t heartbeat_slack_ns = 200'000'000;
  };
  // Where the truth is, and how much of it there is to look at.
  struct View {
    const agent::TableReader& table;
    uint64_t generation;  // as guests see it; never 0
    uint32_t vcpu_end;    // no vCPU at or above this id has been seen
  };
  enum class Message { kNone, kSnapshot, kDelta, kHeartbeat };

  explicit Subscription(Timing timing) : timing_(timing) {}

  // Something was lost: the next message is a snapshot, counted as a resync.
  void Resync() { resync_ = true; }
  // Demand begins: the next message tells every vCPU, whatever was told before.
  void TellAll() { tell_all_ = true; }

  // Fills `message` (which is reused) with the next message, if there is anything to
  // say: a snapshot at first, after a loss, or when the generation is another one; with
  // `demand` a delta of what changed; otherwise, when it is due, a heartbeat.
  // What was filled counts as sent.
  Message Next(const View& view, bool demand, uint64_t now_ns, v1::WatchHintsResponse* message);

  // When the next heartbeat is due (ns, CLOCK_MONOTONIC); 0 before the first message.
  uint64_t heartbeat_due_ns() const { return opened_ ? sent_ns_ + timing_.heartbeat_ns : 0; }
  v1::SnapshotReason last_snapshot_reason() const { return reason_; }

 private:
  bool NeedsSnapshot(uint64_t generation);
  void FillSnapshot(const View& view, uint64_t now_ns, v1::Snapshot* snapshot);
  bool FillDelta(const View& view, bool demand, uint64_t now_ns, v1::Delta* delta);

  Timing timing_;
  bool opened_ = false;
  bool resync_ = false;
  bool tell_all_ = false;
  uint64_t generation_ = 0;
  uint64_t resyncs_ = 0;
  uint64_t sent_ns_ = 0;
  v1::SnapshotReason reason_ = v1::SNAPSHOT_REASON_UNSPECIFIED;
  lockhost_mode mode_ = LOCKHOST_MODE_UNSPECIFIED;
  std::vector<uint64_t> told_;  // index: vCPU id; the state word last sent
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SUBSCRIPTION_SUBSCRIPTION_H_
