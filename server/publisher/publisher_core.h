// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_PUBLISHER_PUBLISHER_CORE_H_
#define LOCKHOST_SERVER_PUBLISHER_PUBLISHER_CORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "agent/channel/protocol.h"
#include "server/directory/vm_record.h"
#include "server/interest/demand.h"
#include "server/interest/interest_map.h"
#include "server/publisher/hint_sink.h"
#include "server/publisher/publisher_stats.h"
#include "server/subscription/subscription.h"

namespace lockhost::server {

// A table's generation as guests see it: another one for another table, and for another
// lockhostd; never 0.
inline uint64_t GuestGeneration(const agent::TableReader& table, uint64_t instance) {
  const uint64_t mixed = (table.generation() * 0x9e3779b97f4a7c15) ^ instance;
  return mixed != 0 ? mixed : 1;
}

// From tables to streams: what to say to whom, and when. Time and events come from the
// caller; nothing here sleeps, locks or knows gRPC. Not thread-safe: the publisher's
// thread owns it and everything in it.
class PublisherCore {
 public:
  struct Options {
    Subscription::Timing timing;
    // With demand and without a ring, tables are looked at this often.
    uint64_t poll_interval_ns = 4'000'000;
    // How long an ended stream may take to write its last message.
    uint64_t closing_ns = 1'000'000'000;
    // Of this lockhostd: two of them never show a guest the same generation.
    uint64_t instance = 0;
  };
  static constexpr uint64_t kNever = UINT64_MAX;

  // `transport` and `stats` outlive the core.
  PublisherCore(Options options, HintTransport* transport, PublisherStats* stats)
      : options_(options), transport_(transport), stats_(stats) {}
  ~PublisherCore();

  // The agent is here: streams speak, each beginning with a snapshot. `interest` may be
  // null; with `has_ring` events say when to look, otherwise tables are polled.
  void AgentHere(std::unique_ptr<InterestMap> interest, bool has_ring, uint64_t now_ns);
  // The agent has gone: what the tables say is not to be believed. Streams stay and say
  // nothing, so that the guests' leases run out unless it comes back before.
  void AgentGone();

  // A VM is new, or its facts or its table have changed.
  void PutVm(std::shared_ptr<VmRecord> record, uint64_t now_ns);
  // Its streams end with NOT_FOUND.
  void RemoveVm(uint64_t vm_id, uint64_t now_ns);
  // A stream has opened; its first message goes out now. NOT_FOUND for an unknown VM.
  void AddStream(uint64_t vm_id, std::unique_ptr<HintSink> sink, uint64_t now_ns);
  // The guest has spoken; it is answered now.
  void ApplyDemand(uint64_t vm_id, const DemandUpdate& update, uint64_t now_ns);
  // All streams end with UNAVAILABLE, new ones at once.
  void Drain(uint64_t now_ns);

  // An event of the ring: marks the VM; Flush() writes.
  void OnEvent(const agent::HintEvent& event);
  void Flush(uint64_t now_ns);

  // Does what is due, returns when to come back (ns, CLOCK_MONOTONIC) or kNever.
  uint64_t Tick(uint64_t now_ns);

  // A stream has something to say and cannot take it now: Tick() again before long.
  bool blocked() const { return blocked_; }
  bool idle() const { return streams_ == 0 && closing_.empty(); }

 private:
  struct Stream {
    std::unique_ptr<HintSink> sink;
    Subscription subscription;
    bool dirty = false;  // something to say, while the message before is not through
  };
  struct Vm {
    std::shared_ptr<VmRecord> record;
    VmRecord::Table table;
    uint32_t vm_index = 0;
    uint32_t vcpu_end = 0;
    bool demand_told = false;
    uint64_t event_at_ns = 0;  // of the oldest event not yet written; 0: none
    Demand demand;
    std::vector<Stream> streams;
  };
  struct Closing {
    std::unique_ptr<HintSink> sink;
    uint64_t abort_at_ns;
  };

  void FlushVm(Vm& vm, uint64_t now_ns);
  bool WriteAll(Vm& vm, uint64_t now_ns);
  bool WriteNext(Vm& vm, Stream& stream, uint64_t now_ns);
  void EndStreams(Vm& vm, const absl::Status& status, uint64_t now_ns);
  void Close(std::unique_ptr<HintSink> sink, const absl::Status& status, uint64_t now_ns);
  void DropClosed(Vm& vm);
  void UpdateInterest(Vm& vm, uint64_t now_ns);
  void SetDemandTold(Vm& vm, bool told);
  uint64_t TickVm(Vm& vm, uint64_t now_ns);
  uint64_t TickClosing(uint64_t now_ns);

  const Options options_;
  HintTransport* const transport_;
  PublisherStats* const stats_;
  std::unique_ptr<InterestMap> interest_;
  bool agent_here_ = false;
  bool has_ring_ = false;
  bool draining_ = false;
  bool blocked_ = false;
  std::map<uint64_t, Vm> vms_;
  std::vector<Vm*> touched_;  // by events since the last Flush()
  std::vector<Closing> closing_;
  uint32_t streams_ = 0;
  uint64_t retry_ns_ = 0;           // pause before the next look at blocked streams
  v1::WatchHintsResponse message_;  // reused: after some messages, no allocation
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_PUBLISHER_PUBLISHER_CORE_H_
