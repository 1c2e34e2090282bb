// SPDX-License-Identifier: Apache-2.0
#include "client/lock/spin_core.h"

#include "client/lock/lock_mode.h"
#include "client/lock/lock_word.h"
#include "client/lock/reports.h"
#include "client/lock/turns.h"
#include "client/lock/wait_policy.h"

namespace lockhost::lock {
namespace {

// A waiter looks at the page, the clock and the report words only once in so many
// pauses (0.7 us to 2 us): between two looks it does nothing but watch the lock word, for a look
// takes as long as a short wait. Most of that is the clock; without it the page costs next to
// nothing, so whether the holder seems not to run is seen after the first pauses (kFirstBackoff).
constexpr uint32_t kPausesBetweenLooks = 32;

// Who watches the word takes its cache line from the holder, and who finds it free takes the
// lock away from one that has all it guards in its cache: each costs the lock a microsecond where
// CPUs are far from one another. So a waiter first waits for about as long as a line travels
// (pauses: 0.2 us to 0.5 us), and watches the less often the longer it has waited: each interval
// is a quarter longer than the one before, so that of a wait that ends an eighth is lost on
// average, up to this.
constexpr uint32_t kFirstBackoff = 8;
constexpr uint64_t kLongestBackoffNs = 600;

// A line that has been written since (`watch`) is worth even less attention: the lock is taken
// again as soon as it is free, and each look delays that. Then each interval is twice as long as
// the one before, up to this. That nobody waits for ever is what claims are for. Where it pays to
// take the lock over as soon as it is free (turns.h) nothing of this holds: then the word is
// watched after each pause until the first look, and from then on each 0.1 us at least: until the
// holder writes there, the line is the waiter's, too.
constexpr uint64_t kLongestBusyBackoffNs = 32'000;
constexpr uint64_t kLongestAtOnceNs = 100;
// It also shows that the holder runs (of a spinlock: a mutex' other waiters come and go), for so
// long after the last change that is seen as such: other data may lie in the line.
constexpr uint64_t kLongestUnseenNs = 2'000'000;

// A native holder wakes nobody. Who has spun long enough for it sleeps for so long, and twice
// as long each time up to the second figure, about a time slice's quarter.
constexpr uint64_t kFirstNapNs = 50'000;
constexpr uint64_t kLongestNapNs = 1'000'000;

bool TryReplace(uint32_t* word, uint32_t expected, uint32_t desired) {
  return __atomic_compare_exchange_n(word, &expected, desired, /*weak=*/false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

// One wait for the lock, from the first failed attempt to the acquisition or the deadline.
class Wait {
 public:
  Wait(const lockhost_env& env, uint32_t* word, lockhost_thread* self, uint32_t vcpu,
       bool holder_may_sleep, uint64_t deadline_ns)
      : env_(env),
        word_(word),
        holder_may_sleep_(holder_may_sleep),
        deadline_ns_(deadline_ns),
        self_(*self),
        vcpu_(vcpu),
        tag_(OwnTag(env, *self, vcpu)),
        at_once_(TakesOverAtOnce(self->turns, word)),
        backoff_(FirstBackoff()) {}

  // False: the deadline has passed, and the lock is somebody else's.
  bool Run() {
    const bool taken = RunUntilTaken();
    if (looked_ns_ != 0) ReportWaiting(env_, vcpu_, LOCKHOST_UNKNOWN_VCPU);
    if (has_role_) TellRole(0);
    if (taken) NoteTaken(self_.turns, word_);
    return taken;
  }

 private:
  bool RunUntilTaken() {
    for (;;) {
      uint32_t seen = 0;
      Watch(&seen);
      if (!IsHeld(seen)) {
        if (!LeavesToClaimant(seen) && TryTake(seen)) return true;
        continue;
      }
      left_since_ns_ = 0;
      if (HasOrphans(seen) && BecomeHeir(seen, seen ^ kSleepers)) continue;
      if (paused_ >= kPausesBetweenLooks || (paused_ == kFirstBackoff && HolderSeemsOff(seen))) {
        const Advice advice = Look(seen);
        if (looked_ns_ >= deadline_ns_) {
          if (LeaveToOthers(seen)) return false;
          continue;
        }
        if (advice == Advice::kPark) {
          Park(seen);
          continue;
        }
        if (BecomesHeirAgain(seen) || Claims(seen)) continue;
      }
      BackOff();
    }
  }

  // Reads the word, and finds out whether it is busy, where that matters more than the time it
  // takes.
  void Watch(uint32_t* seen) {
    if (at_once_ && began_ns_ == 0 && !IsNoted(self_.turns)) {
      *seen = __atomic_load_n(word_, __ATOMIC_RELAXED);
      return;
    }
    const uint32_t fetch_ticks = env_.platform->watch(env_.context, word_, seen);
    is_busy_ = fetch_ticks != 0;
    if (is_busy_) NoteFetch(self_.turns, fetch_ticks);
  }

  // By the pages alone, whether their leases have run out or not: reason enough to look.
  bool HolderSeemsOff(uint32_t seen) const {
    const lockhost_thread_view holder = WhatIsKnownOf(HolderName(seen), /*now_ns=*/0);
    return Advise(ViewOf(seen, holder, lockhost_read_hint(&env_.pages, holder.vcpu, /*now_ns=*/0),
                         IsHeldNatively(seen), /*stalled_ns=*/0)) == Advice::kPark;
  }

  // Takes stock: who holds the lock, does it move, does the holder run.
  Advice Look(uint32_t seen) {
    const uint64_t now_ns = env_.platform->now_ns(env_.context);
    if (looked_ns_ != 0) BoundBackoff(now_ns - looked_ns_);
    looked_ns_ = now_ns;
    paused_ = 0;
    const uint32_t name = HolderName(seen);
    const lockhost_thread_view holder = WhatIsKnownOf(name, now_ns);
    const uint64_t progress = ReportWordOf(env_, holder.vcpu);
    if (name != holder_ || holder.vcpu != waiting_.awaited_vcpu || progress != progress_ ||
        stalled_since_ns_ == 0) {
      holder_ = name;
      waiting_.awaited_vcpu = holder.vcpu;
      progress_ = progress;
      stalled_since_ns_ = changed_ns_ = now_ns;
      if (began_ns_ == 0) began_ns_ = now_ns;
      ReportWaiting(env_, vcpu_, holder.vcpu);
    } else if (is_busy_ && !holder_may_sleep_ && (heir_ || !HasSleepers(seen)) &&
               now_ns - changed_ns_ < kLongestUnseenNs) {
      stalled_since_ns_ = now_ns;
    }
    MarkAwaited(env_, holder.vcpu);
    RingIfArmed(env_);
    waiting_.believed_state = lockhost_read_hint(&env_.pages, holder.vcpu, now_ns);
    const bool native = FollowMode(env_, now_ns);
    return Advise(ViewOf(seen, holder, waiting_.believed_state, native,
                         /*stalled_ns=*/now_ns - stalled_since_ns_));
  }

  WaitView ViewOf(uint32_t seen, const lockhost_thread_view& holder, uint32_t believed_state,
                  bool native, uint64_t stalled_ns) const {
    return {.holder_state = lockhost_expected_state(&env_.pages, holder.vcpu, believed_state),
            .hints_are_prompt = lockhost_hints_are_prompt(&env_.pages) != 0,
            .holder_on_my_vcpu = holder.vcpu == vcpu_,
            .holder_may_sleep = holder_may_sleep_,
            .holder_is_native = native && IsHeldNatively(seen),
            .stalled_ns = stalled_ns,
            .holder_thread = holder.state};
  }

  // The word names a vCPU, or a thread whose vCPU the thread page tells.
  lockhost_thread_view WhatIsKnownOf(uint32_t name, uint64_t now_ns) const {
    if (lockhost_thread_slots(env_.threads) == 0) {
      return {LOCKHOST_THREAD_STATE_UNSPECIFIED, name};
    }
    return lockhost_read_thread(env_.threads, name, now_ns);
  }

  // Not longer than kLongestBackoffNs, by the time that the last pauses took: what a pause
  // takes differs thirtyfold between processors.
  void BoundBackoff(uint64_t passed_ns) {
    const uint64_t bound = LongestBackoffNs() * paused_ / (passed_ns + 1);
    if (backoff_ > bound) backoff_ = static_cast<uint32_t>(bound) + 1;
  }

  void BackOff() {
    // Not past the first look: until then nothing is known of how long a pause is.
    const uint32_t until_look = looked_ns_ == 0 ? kPausesBetweenLooks - paused_ : UINT32_MAX;
    const uint32_t pauses = backoff_ < until_look ? backoff_ : until_look;
    for (uint32_t i = 0; i < pauses; ++i) env_.platform->pause(env_.context, &waiting_);
    paused_ += pauses;
    if (at_once_ && began_ns_ == 0) return;
    backoff_ += LetsBe() ? backoff_ : backoff_ / 4 + 1;
  }

  uint64_t LongestBackoffNs() const {
    if (LetsBe()) return kLongestBusyBackoffNs;
    return at_once_ ? kLongestAtOnceNs : kLongestBackoffNs;
  }

  uint32_t FirstBackoff() const { return at_once_ ? 1 : kFirstBackoff; }

  // The lock is busy, and better left alone.
  bool LetsBe() const { return is_busy_ && !claims_ && !at_once_; }

  // Leaves the free word to the waiter that has claimed it, but not for long.
  bool LeavesToClaimant(uint32_t seen) {
    if (!IsClaimed(seen) || claims_) return false;
    const uint64_t now_ns = env_.platform->now_ns(env_.context);
    if (left_since_ns_ == 0) left_since_ns_ = now_ns;
    if (now_ns - left_since_ns_ >= kClaimHoldsNs || now_ns >= deadline_ns_) return false;
    env_.platform->pause(env_.context, &waiting_);
    return true;
  }

  // The word has forgotten the sleepers of whom this waiter was one. True, as below: look at
  // the word again.
  bool BecomesHeirAgain(uint32_t seen) {
    if (!slept_ || HasSleepers(seen) || IsHeldNatively(seen)) return false;
    BecomeHeir(seen, (seen & ~kClaimTimeMask) | kHeir | ClaimedAt(looked_ns_));
    return true;
  }

  // An heir claims the lock, if it is time. So does who waits alone, and has for so long.
  bool Claims(uint32_t seen) {
    if (IsClaimed(seen) || IsHeldNatively(seen)) return false;
    const bool is_due = HasSleepers(seen)
                            ? heir_ && ClaimIsDue(seen, looked_ns_)
                            : looked_ns_ - began_ns_ >= kClaimEvery << kClaimUnitShift;
    if (!is_due) return false;
    claims_ = TryReplace(word_, seen, (seen & ~kClaimTimeMask) | ClaimedAt(looked_ns_) | kClaimed);
    if (claims_) backoff_ = 1;
    return true;
  }

  // Reports first: see reports.h.
  bool TryTake(uint32_t seen) {
    ReportTaken(env_, vcpu_, self_);
    const bool by_claim = claims_ && IsClaimed(seen) && (slept_ || HasSleepers(seen));
    if (TryReplace(word_, seen, by_claim ? AsClaimed() : AsTaken(seen))) {
      if (by_claim) env_.platform->kick(env_.context, word_);
      return true;
    }
    ReportReleased(env_, vcpu_, self_);
    return false;
  }

  // The word of who had claimed it, and makes the oldest sleeper the next heir at once: whoever
  // has just lost the lock to it would be first otherwise, again and again. If nobody sleeps, the
  // bit misleads nobody.
  uint32_t AsClaimed() const {
    return tag_ | kHeir | ClaimedAt(env_.platform->now_ns(env_.context));
  }

  // The free word `seen` with this waiter as the holder. Others may sleep where it has slept,
  // and where it was awake on behalf of sleepers.
  uint32_t AsTaken(uint32_t seen) const {
    const uint32_t left = LeftToTaker(seen);
    const bool has_heir = (left & kHeir) != 0;
    if (has_heir ? !heir_ : !slept_) return tag_ | left;
    return tag_ | WithOrphans(left, has_heir ? 0 : env_.platform->now_ns(env_.context));
  }

  // Stays awake on behalf of the sleepers: nobody need be woken for a lock that this
  // waiter is about to take. `with_heir`: `seen` with the heir bit.
  bool BecomeHeir(uint32_t seen, uint32_t with_heir) {
    heir_ = TryReplace(word_, seen, with_heir);
    if (heir_) TellRole(LOCKHOST_WAIT_HEIR);
    return heir_;
  }

  void TellRole(uint64_t role) {
    ReportRole(env_, vcpu_, role);
    has_role_ = role != 0;
  }

  // Hands on what a waiter that gives up owes to those who sleep: that somebody may, if the
  // word has lost it, and the end of its claim and its time as an heir. The holder's unlock then
  // wakes one; under a native holder this waiter does. False: the word changed since `seen`.
  bool LeaveToOthers(uint32_t seen) {
    if (IsHeldNatively(seen)) {
      if (slept_) env_.platform->kick(env_.context, word_);
      return true;
    }
    const bool owes = (HasSleepers(seen) ? heir_ : slept_) && !HasOrphans(seen);
    const uint32_t unclaimed = claims_ ? seen & ~kClaimed : seen;
    const uint32_t left = owes ? WithOrphans(unclaimed, looked_ns_) : unclaimed;
    return left == seen || TryReplace(word_, seen, left);
  }

  // Sleeps until it is woken or the deadline has passed, unless the word changed since `seen`.
  void Park(uint32_t seen) {
    if (IsHeldNatively(seen)) return Nap(seen);
    const uint32_t marked = WithOrphans(claims_ ? seen & ~kClaimed : seen, looked_ns_);
    if (seen == marked || TryReplace(word_, seen, marked)) Sleep(marked);
  }

  // Sleeps for a while of its own. From now on locks are taken so that sleepers are woken.
  void Nap(uint32_t seen) {
    if (env_.operations != nullptr) {
      __atomic_store_n(&env_.operations->napped_at_ns, looked_ns_, __ATOMIC_RELAXED);
    }
    Sleep(seen, nap_ns_);
    nap_ns_ = nap_ns_ < kLongestNapNs / 2 ? 2 * nap_ns_ : kLongestNapNs;
  }

  void Sleep(uint32_t expected, uint64_t longest_ns = UINT64_MAX) {
    const uint64_t left_ns = deadline_ns_ == UINT64_MAX ? UINT64_MAX : deadline_ns_ - looked_ns_;
    const uint64_t timeout_ns = left_ns < longest_ns ? left_ns : longest_ns;
    TellRole(LOCKHOST_WAIT_ASLEEP);
    heir_ = env_.platform->wait(env_.context, word_, expected, timeout_ns, &waiting_) != 0;
    TellRole(0);
    slept_ = true;
    claims_ = false;
    stalled_since_ns_ = 0;
    backoff_ = FirstBackoff();
    looked_ns_ = 0;
    ReportWaiting(env_, vcpu_, LOCKHOST_UNKNOWN_VCPU);
    vcpu_ = env_.platform->current_vcpu(env_.context);
    tag_ = OwnTag(env_, self_, vcpu_);
    if (heir_) TellRole(LOCKHOST_WAIT_HEIR);
  }

  const lockhost_env& env_;
  uint32_t* const word_;
  const bool holder_may_sleep_;
  const uint64_t deadline_ns_;
  lockhost_thread& self_;
  uint32_t vcpu_;
  uint32_t tag_;
  bool slept_ = false;             // others may sleep still
  bool heir_ = false;              // the heir bit, if set, may be this waiter's
  bool has_role_ = false;          // the report page says so, or that it sleeps
  bool claims_ = false;            // the claim, if the word has one, may be this waiter's
  uint64_t began_ns_ = 0;          // the time of the first look
  uint64_t left_since_ns_ = 0;     // when the word was first found free but claimed; 0: it is not
  const bool at_once_;             // it pays to take the lock over as soon as it is free
  bool is_busy_ = false;           // somebody wrote to the word's line since the look before
  uint64_t changed_ns_ = 0;        // when the word's holder, or its report word, last changed
  uint32_t backoff_;               // pauses before the word is watched again
  uint32_t paused_ = 0;            // pauses since the last look
  uint64_t nap_ns_ = kFirstNapNs;  // how long the next nap may last
  uint64_t looked_ns_ = 0;         // the time of the last look
  uint32_t holder_ = 0;            // whom the word named at the last look
  uint64_t progress_ = 0;          // the holder's report word at the last look
  uint64_t stalled_since_ns_ = 0;  // 0: not yet looked
  lockhost_waiting waiting_ = {.awaited_vcpu = LOCKHOST_UNKNOWN_VCPU,
                               .believed_state = LOCKHOST_RUN_STATE_UNSPECIFIED};
};

// `past_claim`: also a free lock that somebody has claimed.
bool TryOnce(const lockhost_env& env, uint32_t* word, bool past_claim) {
  lockhost_thread& self = *env.platform->self(env.context);
  if (IsNoted(self.turns)) NoteAttempt(self.turns, word, env.platform->ticks(env.context));
  if (env.operations != nullptr && TakesNatively(*env.operations)) {
    uint32_t seen = 0;
    if (TryTakeNatively(word, self, &seen)) return true;
    if (IsHeld(seen)) return false;
  }
  const uint32_t vcpu = env.platform->current_vcpu(env.context);
  const uint32_t tag = OwnTag(env, self, vcpu);
  if (!TryTakeFree(word, tag) && !(past_claim && TryTakePastClaim(word, tag))) return false;
  ReportTaken(env, vcpu, self);
  return true;
}

int LockUntil(const lockhost_env& env, uint32_t* word, bool holder_may_sleep,
              uint64_t deadline_ns) {
  if (TryOnce(env, word, /*past_claim=*/false)) return 1;
  lockhost_thread* self = env.platform->self(env.context);
  const uint32_t vcpu = env.platform->current_vcpu(env.context);
  return Wait(env, word, self, vcpu, holder_may_sleep, deadline_ns).Run() ? 1 : 0;
}

}  // namespace

}  // namespace lockhost::lock

int lockhost_core_trylock(const lockhost_env* env, uint32_t* word) {
  return lockhost::lock::TryOnce(*env, word, /*past_claim=*/true) ? 1 : 0;
}

int lockhost_core_trylock_in_turn(const lockhost_env* env, uint32_t* word) {
  return lockhost::lock::TryOnce(*env, word, /*past_claim=*/false) ? 1 : 0;
}

void lockhost_core_lock(const lockhost_env* env, uint32_t* word) {
  lockhost_core_lock_until(env, word, UINT64_MAX);
}

int lockhost_core_lock_until(const lockhost_env* env, uint32_t* word, uint64_t deadline_ns) {
  return lockhost::lock::LockUntil(*env, word, /*holder_may_sleep=*/false, deadline_ns);
}

int lockhost_core_mutex_lock_until(const lockhost_env* env, uint32_t* word, uint64_t deadline_ns) {
  return lockhost::lock::LockUntil(*env, word, /*holder_may_sleep=*/true, deadline_ns);
}

void lockhost_core_unlock(const lockhost_env* env, uint32_t* word) {
  lockhost_thread& self = *env->platform->self(env->context);
  if (lockhost::lock::ReleaseNatively(word, self)) return;
  const bool must_kick = lockhost::lock::Release(word);
  lockhost::lock::ReportReleased(*env, env->platform->current_vcpu(env->context), self);
  if (lockhost::lock::IsNoted(self.turns)) {
    lockhost::lock::NoteRelease(self.turns, word, env->platform->ticks(env->context));
  }
  if (must_kick) env->platform->kick(env->context, word);
}
