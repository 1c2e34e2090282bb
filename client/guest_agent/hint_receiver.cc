// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/hint_receiver.h"

#include <algorithm>

#include "client/guest_agent/message_check.h"

namespace lockhost::guest_agent {
namespace {

void Count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

lockhost_hint_slot ToSlot(const v1::VcpuHint& hint, uint64_t now_ns) {
  return {
      .state_word = lockhost_state_word(static_cast<uint32_t>(hint.run_state()), hint.revision()),
      .witness = hint.report_word(),
      .since_ns = now_ns,
      .steal_ns = hint.steal_ns(),
      .preemptions = hint.preemptions(),
      .lock_holder_preemptions = hint.lock_holder_preemptions(),
      .stopped_ns = 0,
      .recalled = 0};
}

}  // namespace

HintReceiver::HintReceiver(HintPageWriter* page, Stats* stats, Clock clock, Options options)
    : page_(page),
      stats_(stats),
      clock_(clock),
      options_(options),
      revisions_(page->slot_count(), 0) {}

absl::Status HintReceiver::Apply(const v1::WatchHintsResponse& message) {
  const uint64_t received_ns = clock_.now_ns();
  const std::lock_guard lock(mutex_);
  if (absl::Status sound = CheckHostMessage(message, known_slots_); !sound.ok()) {
    Count(stats_->bad_messages);
    page_->Void();
    return sound;
  }
  if (message.has_snapshot()) {
    ApplySnapshot(message.snapshot());
  } else if (message.has_delta()) {
    ApplyDelta(message.delta());
  } else {
    Count(stats_->heartbeats);
  }
  Count(stats_->messages);
  page_->ExtendLease(received_ns + std::min(message.lease_ns(), options_.longest_lease_ns));
  return absl::OkStatus();
}

void HintReceiver::ApplySnapshot(const v1::Snapshot& snapshot) {
  if (known_slots_ == 0) Count(stats_->connects);
  Count(stats_->snapshots);
  if (snapshot.reason() == v1::SNAPSHOT_REASON_RESYNC) Count(stats_->resyncs);
  known_slots_ = snapshot.slot_count();
  generation_ = snapshot.generation();
  std::fill(revisions_.begin(), revisions_.end(), 0);
  page_->SetHost(snapshot.generation(), static_cast<lockhost_mode>(snapshot.mode()));
  page_->SetSampledEvery(snapshot.sampled_every_ns());
  if (!options_.slots_elsewhere) page_->ClearSlots();
  ApplyVcpus(snapshot.vcpus());
}

void HintReceiver::ApplyDelta(const v1::Delta& delta) {
  Count(stats_->deltas);
  page_->SetMode(static_cast<lockhost_mode>(delta.mode()));
  ApplyVcpus(delta.vcpus());
}

void HintReceiver::ApplyVcpus(const google::protobuf::RepeatedPtrField<v1::VcpuHint>& vcpus) {
  for (const v1::VcpuHint& hint : vcpus) {
    if (hint.vcpu_id() >= revisions_.size()) {
      Count(stats_->dropped_vcpus);
      continue;
    }
    revisions_[hint.vcpu_id()] = hint.revision();
    if (!demand_ || options_.slots_elsewhere) continue;
    page_->WriteSlot(hint.vcpu_id(), ToSlot(hint, clock_.now_ns()));
    Count(stats_->hints);
  }
}

void HintReceiver::StreamLost() {
  const std::lock_guard lock(mutex_);
  page_->Void();
  known_slots_ = 0;
  generation_ = 0;
}

void HintReceiver::SetDemand(bool demand) {
  const std::lock_guard lock(mutex_);
  if (demand_ && !demand && !options_.slots_elsewhere) page_->ClearSlots();
  demand_ = demand;
}

uint64_t HintReceiver::generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

uint64_t HintReceiver::revision(uint32_t vcpu_id) const {
  const std::lock_guard lock(mutex_);
  return vcpu_id < revisions_.size() ? revisions_[vcpu_id] : 0;
}

}  // namespace lockhost::guest_agent
