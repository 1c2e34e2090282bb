// SPDX-License-Identifier: Apache-2.0
//
// What the threads of explorer.h do, and the world that they do it in.
#include <utility>

#include "client/lock/lock_word.h"
#include "client/lock/wait_policy.h"
#include "tests/client/lock/interleaving/explorer.h"

namespace lockhost::interleaving {

using lock::IsHeld;

const lockhost_platform Explorer::kPlatform = {
    .wait =
        [](void* self, uint32_t* word, uint32_t expected, uint64_t timeout_ns,
           const lockhost_waiting*) {
          return static_cast<Explorer*>(self)->OnWait(word, expected, timeout_ns != UINT64_MAX);
        },
    .kick = [](void* self,
               uint32_t* word) { return static_cast<Explorer*>(self)->OnWake(word, 1); },
    .watch =
        [](void* self, const uint32_t* word, uint32_t* seen) {
          auto& explorer = *static_cast<Explorer*>(self);
          explorer.BeforeAtomic(word);
          *seen = *word;
          explorer.AfterLoad(word, *seen);
          return 0u;
        },
    .ticks = [](void*) { return uint64_t{0}; },
    .pause = [](void* self, const lockhost_waiting*) { static_cast<Explorer*>(self)->OnPause(); },
    .current_vcpu =
        [](void* self) { return static_cast<uint32_t>(static_cast<Explorer*>(self)->current_); },
    .self = [](void* self) { return &static_cast<Explorer*>(self)->self().thread; },
    .now_ns = [](void* self) { return static_cast<Explorer*>(self)->OnNow(); },
    .ring = [](void*, lockhost_report_header*) {},
};

void Explorer::Take() {
  const lockhost_cond_ops ops = {.context = this,
                                 .sleep =
                                     [](void* self, uint32_t* word, uint32_t expected) {
                                       auto& explorer = *static_cast<Explorer*>(self);
                                       // The unlock before it is over.
                                       explorer.self().unlocking = explorer.self().released = false;
                                       explorer.OnWait(word, expected, /*timed=*/false);
                                       return 0;
                                     },
                                 .wake = nullptr};
  CriticalSection();
  while (items_ == 0) {
    self().unlocking = true;
    lockhost_core_cond_wait(&env_, &ops, &cond_, &word_);
    CriticalSection();
  }
  --items_;
  Unlock();
}

void Explorer::Put(bool wakes_outside) {
  const lockhost_cond_ops ops = {
      .context = this, .sleep = nullptr, .wake = [](void* self, uint32_t* word, uint32_t count) {
        static_cast<Explorer*>(self)->OnWake(word, count);
      }};
  CriticalSection();
  ++items_;
  if (wakes_outside) Unlock();
  lockhost_core_cond_wake(&ops, &cond_, bounds_.wakes_all ? kMaxThreads : 1);
  if (!wakes_outside) Unlock();
}

// The host has changed its mind since the last lock, or has not.
void Explorer::SwitchMode() {
  operations_.native = static_cast<uint32_t>(choices_.Choose(2));
  operations_.napped_at_ns = 0;
  hints_.header.mode =
      operations_.native != 0 ? LOCKHOST_MODE_DEDICATED : LOCKHOST_MODE_OVERCOMMITTED;
}

void Explorer::BeforeAtomic(const volatile uint32_t* at) {
  if (IsOfCond(at)) {
    self().quiet = false;
    Point(/*may_continue=*/true, /*is_free=*/false);
  }
  if (at != &word_) return;
  if (self().released) Fail("an unlock touches the word after it has freed it");
  if (!self().quiet) Point(/*may_continue=*/true, /*is_free=*/false);
}

void Explorer::AfterLoad(const volatile uint32_t* at, uint32_t value) {
  if (at != &word_) return;
  self().last_loaded = value;
  Note("reads");
}

uint32_t Explorer::OnStore(const volatile uint32_t* at, uint32_t before, uint32_t after,
                           int order) {
  if (at == &cond_.waiters && faults_.cond_forgets_waiters) return before;
  if (at != &word_) return after;
  self().quiet = false;
  if (faults_.store) after = faults_.store(before, after);
  word_ = after;
  Note("stores");
  if (!lock::IsClaimed(before) && lock::IsClaimed(after)) ++outcome_.claims;
  if (lock::IsHeldNatively(before) && IsHeld(after))
    Fail("a bit is set that a plain store wipes out");
  if (!IsHeld(before) && IsHeld(after)) {
    if (lock::IsHeldNatively(after)) ++outcome_.native_locks;
  }
  if (!IsHeld(before) && IsHeld(after) && order != __ATOMIC_ACQUIRE) {
    Fail("taken without acquire order");
  }
  if (IsHeld(before) && !IsHeld(after)) {
    if (!self().unlocking) Fail("freed by a waiter");
    if (order != __ATOMIC_RELEASE) Fail("freed without release order");
    self().released = true;
  }
  return after;
}

void Explorer::OnPlainAccess(const volatile void* at) {
  if (at == &word_) Fail("the word is accessed by plain code");
}

int Explorer::OnWait(const uint32_t* at, uint32_t expected, bool timed) {
  const bool naps = at == &word_ && lock::IsHeldNatively(expected);
  Fibre& me = self();
  me.quiet = false;
  Point(/*may_continue=*/true, /*is_free=*/false);
  if (*at != expected && !faults_.wait_does_not_compare) return 0;
  if (naps && !timed) Fail("sleeps on a word whose holder wakes nobody");
  if (timed && !naps && choices_.Choose(2) == 1) {
    me.is_late = true;
    return 0;
  }
  Note("sleeps");
  ++outcome_.sleeps;
  me.state = State::kAsleep;
  asleep_.push_back({current_, at, naps});
  if (naps) ++outcome_.naps;
  Point(/*may_continue=*/false, /*is_free=*/true);
  Note(me.kicked ? "is woken" : "wakes early");
  return me.kicked ? 1 : 0;
}

int Explorer::OnWake(const uint32_t* at, uint32_t count) {
  self().quiet = false;
  if (faults_.kick_reads_the_word) BeforeAtomic(&word_);
  Point(/*may_continue=*/true, /*is_free=*/false);
  Note("kicks");
  if (faults_.kick_wakes_nobody) return 0;
  int woken = 0;
  for (size_t i = 0; i < asleep_.size() && count > 0;) {
    if (asleep_[i].at != at) {
      ++i;
      continue;
    }
    Fibre& fibre = fibres_[asleep_[i].thread];
    fibre.kicked = true;
    fibre.state = State::kReady;
    asleep_.erase(asleep_.begin() + static_cast<std::ptrdiff_t>(i));
    --count;
    ++woken;
  }
  return woken;
}

void Explorer::OnPause() {
  if (std::exchange(self().quiet, true)) return;
  Point(/*may_continue=*/true, /*is_free=*/true);
}

uint64_t Explorer::OnNow() {
  self().quiet = false;
  // Who takes a free lock also asks for the time; only a look asks with the lock held.
  const uint32_t seen = self().last_loaded;
  if (IsHeld(seen)) return ChooseWhatALookSees();
  // Who leaves it to its claimant does so once, then may think that it has waited for long enough.
  if (lock::IsClaimed(seen)) now_ns_ += lock::kClaimHoldsNs;
  return now_ns_;
}

uint64_t Explorer::ChooseWhatALookSees() {
  enum { kHolderIsPreempted, kDeadlinePassed, kHolderRuns, kClaimIsDue };
  if (self().is_late) return kDeadlineNs;
  std::array<int, 4> options{kHolderIsPreempted};
  int count = 1;
  if (IsTimed(current_)) options[count++] = kDeadlinePassed;
  if (++self().looks <= bounds_.looks) {
    options[count++] = kHolderRuns;
    if (!lock::IsClaimed(self().last_loaded)) options[count++] = kClaimIsDue;
  }
  const int choice = options[choices_.Choose(count)];
  const uint32_t state =
      choice == kHolderIsPreempted ? LOCKHOST_RUN_STATE_PREEMPTED : LOCKHOST_RUN_STATE_RUNNING;
  for (lockhost_hint_slot& slot : hints_.slots) slot.state_word = lockhost_state_word(state, 1);
  if (choice == kDeadlinePassed) {
    self().is_late = true;
    return kDeadlineNs;
  }
  if (choice == kHolderIsPreempted && lock::IsHeldNatively(self().last_loaded)) {
    now_ns_ += lock::kRunningSpinNs;  // nobody says so of a native holder
  }
  if (choice == kClaimIsDue) {
    now_ns_ += uint64_t{lock::kClaimEvery} << lock::kClaimUnitShift;
    // Or the holder would seem to be stuck for so long.
    for (lockhost_report_slot& slot : reports_.slots) ++slot.report_word;
  }
  return now_ns_;
}

}  // namespace lockhost::interleaving
