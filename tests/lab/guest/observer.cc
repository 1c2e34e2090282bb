// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/guest/observer.h"

#include "tests/lab/guest/park_judgement.h"

namespace lockhost::lab {
namespace {

constexpr int kLookAttempts = 4;

bool IsKnown(uint32_t state) { return state != LOCKHOST_RUN_STATE_UNSPECIFIED; }
bool IsRunning(uint32_t state) { return state == LOCKHOST_RUN_STATE_RUNNING; }

}  // namespace

Observer::Observer(const RunConfig& config, const lockhost_pages& pages, VcpuBlock& block)
    : config_(config),
      pages_(pages),
      stats_(block.stats),
      shared_(*reinterpret_cast<SharedArea*>(config.shared)),
      oracle_(reinterpret_cast<const lockhost_hint_header*>(config.oracle)),
      tsc_delta_(block.tsc_delta) {}

uint64_t Observer::Truth(uint32_t vcpu) const {
  if (oracle_ == nullptr || vcpu >= config_.oracle_slots) return 0;
  return __atomic_load_n(&lockhost_hint_slot_at(oracle_, vcpu)->state_word, __ATOMIC_ACQUIRE);
}

// Both accounts at the same moment: if the truth changed while the page was read (this
// vCPU may have been away for milliseconds in between), they are read again.
Observer::Sight Observer::Look(uint32_t holder) {
  Sight sight = {.tsc = 0, .revision = 0, .holder = holder, .report = 0, .truth = 0, .belief = 0};
  uint64_t word = Truth(holder);
  for (int attempt = 0; attempt < kLookAttempts; ++attempt) {
    sight.tsc = Tsc();
    if (pages_.hints != nullptr) {
      sight.belief = lockhost_read_hint(&pages_, holder, config_.clock.ToNs(sight.tsc));
    }
    const uint64_t before = word;
    word = Truth(holder);
    if (word == before) break;
  }
  if (holder < pages_.report_slots) {
    sight.report = __atomic_load_n(&lockhost_report_slot_at(pages_.reports, holder)->report_word,
                                   __ATOMIC_RELAXED);
  }
  sight.truth = lockhost_state_of(word);
  sight.revision = lockhost_revision_of(word);
  return sight;
}

void Observer::Judge(const Sight& sight, uint64_t ticks) {
  if (pages_.hints == nullptr || !IsKnown(sight.truth)) return;
  stats_.judged_ticks += ticks;
  if (sight.belief == sight.truth) {
    stats_.agreed_ticks += ticks;
  } else if (!IsKnown(sight.belief)) {
    stats_.no_hint_ticks += ticks;
  } else if (IsRunning(sight.belief)) {
    stats_.false_running_ticks += ticks;
  } else if (IsRunning(sight.truth)) {
    stats_.false_preempted_ticks += ticks;
  }
}

// Books the time of a sleep between two sights of one holder.
void Observer::BookPark(const Sight& before, const Sight& after) {
  if (pages_.hints == nullptr || after.tsc <= before.tsc) return;
  if (!IsKnown(before.truth) || before.holder >= pages_.hint_slots) return;
  const lockhost_hint_slot* truth = lockhost_hint_slot_at(oracle_, before.holder);
  const lockhost_hint_slot* page = lockhost_hint_slot_at(pages_.hints, before.holder);
  const ParkView park = {
      .begin_ns = config_.clock.ToNs(before.tsc),
      .end_ns = config_.clock.ToNs(after.tsc),
      .truth_off = !IsRunning(before.truth),
      .believed_off = !IsRunning(before.belief),
      .truth_runs = IsRunning(after.truth),
      .held_on = after.report == before.report,
      .stopped_holding = __atomic_load_n(&truth->witness, __ATOMIC_RELAXED) == before.report,
      .truth_stopped_ns = __atomic_load_n(&truth->stopped_ns, __ATOMIC_RELAXED),
      .truth_since_ns = __atomic_load_n(&truth->since_ns, __ATOMIC_RELAXED),
      .page_stopped_ns = __atomic_load_n(&page->stopped_ns, __ATOMIC_RELAXED),
      .critical_ns = config_.critical_ns,
      .unnoticed_ns = pages_.hints == oracle_ ? 0 : config_.critical_ns,
  };
  const ParkJudgement judged = JudgePark(park);
  if (!judged.known) return;
  // No floating point in the guest: ticks for 1,024 ns.
  const uint64_t ticks = after.tsc - before.tsc;
  const uint64_t scale = (ticks << 10) / (park.end_ns - park.begin_ns + 1);
  const uint64_t waited = (judged.waited_ns * scale) >> 10;
  stats_.judged_ticks += waited;
  if (!IsKnown(before.belief)) {
    stats_.no_hint_ticks += waited;
    return;
  }
  const uint64_t false_running = (judged.false_running_ns * scale) >> 10;
  const uint64_t false_preempted = (judged.false_preempted_ns * scale) >> 10;
  stats_.false_running_ticks += false_running;
  stats_.false_preempted_ticks += false_preempted;
  stats_.agreed_ticks += Between(false_running + false_preempted, waited);
}

// Books the time since the last sight.
void Observer::Settle(uint64_t tsc) {
  uint64_t ticks = tsc > last_.tsc ? tsc - last_.tsc : 0;
  if (ticks > config_.observation_cap_ticks) ticks = config_.observation_cap_ticks;
  stats_.spin_ticks += ticks;
  if (IsKnown(last_.truth) && !IsRunning(last_.truth)) stats_.wasted_spin_ticks += ticks;
  Judge(last_, ticks);
}

void Observer::Spin(uint32_t holder) {
  const Sight now = Look(holder);
  ++stats_.spins;
  const bool same = standing_ && last_.holder == holder;
  if (!same) {
    watched_since_ns_ = config_.clock.ToNs(now.tsc);
    settled_revision_ = 0;
  }
  if (standing_) Settle(now.tsc);
  if (same) CountDelivery(last_, now);
  last_ = now;
  standing_ = true;
}

void Observer::BeginPark(const lockhost_waiting& waiting, bool still_held) {
  Spin(waiting.awaited_vcpu);
  --stats_.spins;
  ++stats_.parks;
  if (still_held && IsRunning(last_.truth)) ++stats_.false_parks;
}

void Observer::EndPark(bool same_holder) {
  const Sight now = Look(last_.holder);
  const uint64_t ticks = now.tsc > last_.tsc ? now.tsc - last_.tsc : 0;
  stats_.park_ticks += ticks;
  BookPark(last_, now);
  CountDelivery(last_, now);
  last_ = now;
  standing_ = same_holder;
}

// When `page` took the revision of `sight`; 0 if it shows another one.
uint64_t Observer::StampOf(const lockhost_hint_header* page, const Sight& sight) {
  const lockhost_hint_slot* slot = lockhost_hint_slot_at(page, sight.holder);
  const uint64_t word = __atomic_load_n(&slot->state_word, __ATOMIC_ACQUIRE);
  if (lockhost_revision_of(word) != sight.revision) return 0;
  const uint64_t stamp_ns = __atomic_load_n(&slot->since_ns, __ATOMIC_ACQUIRE);
  return __atomic_load_n(&slot->state_word, __ATOMIC_RELAXED) == word ? stamp_ns : 0;
}

bool Observer::FirstToCount(uint32_t vcpu, uint64_t revision) {
  if (vcpu >= kMaxVcpus) return false;
  uint64_t* counted = &shared_.counted_revision[vcpu];
  uint64_t seen = __atomic_load_n(counted, __ATOMIC_RELAXED);
  return seen < revision && __atomic_compare_exchange_n(counted, &seen, revision, false,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// Only changes that somebody waited for count: one that nobody watched may rightly
// travel late. gRPC: by the stamps of BPF and of the page's writer. Direct: when the
// waiter saw it, if it was watching closely.
void Observer::CountDelivery(const Sight& before, const Sight& now) {
  if (pages_.hints == nullptr || now.holder >= config_.oracle_slots ||
      now.holder >= pages_.hint_slots || now.revision == settled_revision_) {
    return;
  }
  if (pages_.hints == oracle_) {
    CountFirstSight(before, now);
  } else {
    CountPageWrite(before, now);
  }
}

void Observer::CountFirstSight(const Sight& before, const Sight& now) {
  settled_revision_ = now.revision;
  if (now.revision == before.revision || now.tsc - before.tsc > config_.watching_ticks) return;
  const uint64_t changed_ns = StampOf(oracle_, now);
  if (changed_ns == 0 || !FirstToCount(now.holder, now.revision)) return;
  const uint64_t now_ns = config_.clock.ToNs(now.tsc);
  stats_.delivery_ns.Add(now_ns > changed_ns ? now_ns - changed_ns : 0);
}

// Stops alone: that a vCPU runs again is told by its own report word (the witness), and the
// message rides along with the next. And only those within the hold that is waited for:
// where the vCPU that has released the lock goes is nobody's concern.
void Observer::CountPageWrite(const Sight& before, const Sight& now) {
  const lockhost_hint_slot* truth = lockhost_hint_slot_at(oracle_, now.holder);
  const lockhost_hint_slot* page = lockhost_hint_slot_at(pages_.hints, now.holder);
  const uint64_t stopped_ns = __atomic_load_n(&truth->stopped_ns, __ATOMIC_ACQUIRE);
  const uint64_t told_ns = __atomic_load_n(&page->stopped_ns, __ATOMIC_ACQUIRE);
  const uint64_t slack_ns = config_.clock.TicksToNs(config_.watching_ticks);
  if (stopped_ns == 0 || told_ns < stopped_ns) return;  // not yet told, or never
  settled_revision_ = now.revision;
  if (__atomic_load_n(&truth->witness, __ATOMIC_RELAXED) != before.report) return;
  if (stopped_ns + slack_ns < watched_since_ns_) return;
  if (FirstToCount(now.holder, stopped_ns)) stats_.delivery_ns.Add(told_ns - stopped_ns);
}

}  // namespace lockhost::lab
