// SPDX-License-Identifier: Apache-2.0
#include "server/subscription/subscription.h"

#include <utility>

#include "server/subscription/vcpu_hint.h"

namespace lockhost::server {
namespace {

constexpr uint32_t kProtocolVersion = 1;

}  // namespace

Subscription::Message Subscription::Next(const View& view, bool demand, uint64_t now_ns,
                                         v1::WatchHintsResponse* message) {
  Message kind = Message::kNone;
  if (NeedsSnapshot(view.generation)) {
    FillSnapshot(view, now_ns, message->mutable_snapshot());
    kind = Message::kSnapshot;
  } else if (FillDelta(view, demand, now_ns, message->mutable_delta())) {
    kind = Message::kDelta;
  } else if (now_ns + timing_.heartbeat_slack_ns >= heartbeat_due_ns()) {
    message->mutable_heartbeat();
    kind = Message::kHeartbeat;
  }
  if (kind == Message::kNone) return kind;
  message->set_lease_ns(timing_.lease_ns);
  sent_ns_ = now_ns;
  return kind;
}

bool Subscription::NeedsSnapshot(uint64_t generation) {
  if (opened_ && generation == generation_ && !resync_) return false;
  if (!opened_) {
    reason_ = v1::SNAPSHOT_REASON_OPENED;
  } else if (generation != generation_) {
    reason_ = v1::SNAPSHOT_REASON_NEW_GENERATION;
  } else {
    reason_ = v1::SNAPSHOT_REASON_RESYNC;
    ++resyncs_;
  }
  opened_ = true;
  resync_ = false;
  tell_all_ = false;
  generation_ = generation;
  return true;
}

void Subscription::FillSnapshot(const View& view, uint64_t now_ns, v1::Snapshot* snapshot) {
  mode_ = view.table.mode();
  snapshot->Clear();
  snapshot->set_reason(reason_);
  snapshot->set_generation(generation_);
  snapshot->set_resyncs(resyncs_);
  snapshot->set_slot_count(view.table.slot_count());
  snapshot->set_mode(static_cast<v1::Mode>(mode_));
  snapshot->set_sampled_every_ns(view.table.sampled_every_ns());
  snapshot->add_capabilities(v1::CAPABILITY_REPORT_WORD);
  snapshot->add_capabilities(v1::CAPABILITY_AWAITED_VCPUS);
  snapshot->set_protocol_version(kProtocolVersion);
  told_.assign(view.table.slot_count(), 0);
  for (uint32_t vcpu_id = 0; vcpu_id < view.vcpu_end && vcpu_id < told_.size(); ++vcpu_id) {
    if (view.table.ReadStateWord(vcpu_id) == 0) continue;
    const agent::VcpuObservation seen = view.table.Read(vcpu_id);
    told_[vcpu_id] = seen.state_word;
    FillVcpuHint(vcpu_id, seen, now_ns, snapshot->add_vcpus());
  }
}

bool Subscription::FillDelta(const View& view, bool demand, uint64_t now_ns, v1::Delta* delta) {
  const lockhost_mode mode = view.table.mode();
  const bool tell_all = demand && std::exchange(tell_all_, tell_all_ && !demand);
  bool any = mode != mode_ || tell_all;
  delta->Clear();
  for (uint32_t vcpu_id = 0; demand && vcpu_id < view.vcpu_end && vcpu_id < told_.size();
       ++vcpu_id) {
    const uint64_t word = view.table.ReadStateWord(vcpu_id);
    if (word == told_[vcpu_id] && !(tell_all && word != 0)) continue;
    const agent::VcpuObservation seen = view.table.Read(vcpu_id);
    told_[vcpu_id] = seen.state_word;
    FillVcpuHint(vcpu_id, seen, now_ns, delta->add_vcpus());
    any = true;
  }
  if (!any) return false;
  mode_ = mode;
  delta->set_mode(static_cast<v1::Mode>(mode));
  return true;
}

}  // namespace lockhost::server
