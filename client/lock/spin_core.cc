// SPDX-License-Identifier: Apache-2.0
#include "client/lock/spin_core.h"

#include "client/lock/lock_word.h"
#include "client/lock/reports.h"
#include "client/lock/wait_policy.h"

namespace lockhost::lock {
namespace {

// A waiter looks at the page, the clock and the report words only once in so many
// rounds: between two looks it does nothing but watch the lock word.
constexpr uint32_t kRoundsBetweenLooks = 8;

bool TryReplace(uint32_t* word, uint32_t expected, uint32_t desired) {
  return __atomic_compare_exchange_n(word, &expected, desired, /*weak=*/false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

// One wait for the lock, from the first failed attempt to the acquisition or the deadline.
class Wait {
 public:
  Wait(const lockhost_env& env, uint32_t* word, lockhost_thread* self, uint32_t vcpu,
       uint64_t deadline_ns)
      : env_(env),
        word_(word),
        deadline_ns_(deadline_ns),
        self_(*self),
        vcpu_(vcpu),
        tag_(HolderTag(vcpu)) {}

  // False: the deadline has passed, and the lock is somebody else's.
  bool Run() {
    const bool taken = RunUntilTaken();
    if (looked_ns_ != 0) ReportWaiting(env_, vcpu_, LOCKHOST_UNKNOWN_VCPU);
    return taken;
  }

 private:
  bool RunUntilTaken() {
    for (uint32_t round = 1;; ++round) {
      const uint32_t seen = __atomic_load_n(word_, __ATOMIC_RELAXED);
      if (!IsHeld(seen)) {
        if (TryTake(seen)) return true;
        continue;
      }
      if (NeedsHeir(seen) && BecomeHeir(seen)) continue;
      if (round % kRoundsBetweenLooks == 0) {
        const Advice advice = Look(seen);
        if (looked_ns_ >= deadline_ns_) {
          if (LeaveToOthers(seen)) return false;
          continue;
        }
        if (advice == Advice::kPark) {
          Park(seen);
          continue;
        }
        if (heir_ && RotationIsDue(seen, looked_ns_)) {
          Rotate(seen);
          continue;
        }
      }
      env_.platform->pause(env_.context, &waiting_);
    }
  }

  // Takes stock: who holds the lock, does it move, does the holder run.
  Advice Look(uint32_t seen) {
    const uint64_t now_ns = looked_ns_ = env_.platform->now_ns(env_.context);
    const uint32_t holder = HolderVcpu(seen);
    const uint64_t progress = ReportWordOf(env_, holder);
    if (holder != waiting_.awaited_vcpu || progress != progress_ || stalled_since_ns_ == 0) {
      waiting_.awaited_vcpu = holder;
      progress_ = progress;
      stalled_since_ns_ = now_ns;
      ReportWaiting(env_, vcpu_, holder);
    }
    MarkAwaited(env_, holder);
    RingIfArmed(env_);
    waiting_.believed_state = lockhost_read_hint(&env_.pages, holder, now_ns);
    return Advise({.holder_state = waiting_.believed_state,
                   .hints_are_prompt = lockhost_hints_are_prompt(&env_.pages) != 0,
                   .holder_on_my_vcpu = holder == vcpu_,
                   .stalled_ns = now_ns - stalled_since_ns_});
  }

  // Reports first: see reports.h.
  bool TryTake(uint32_t seen) {
    ReportChange(env_, vcpu_, self_, +1);
    if (TryReplace(word_, seen, AsTaken(seen))) return true;
    ReportChange(env_, vcpu_, self_, -1);
    return false;
  }

  // The word with this waiter as the holder. Others may sleep where it has slept.
  uint32_t AsTaken(uint32_t seen) const {
    if (slept_ && (seen & kSleepers) == 0) {
      seen = SleepersSince(env_.platform->now_ns(env_.context));
    }
    return tag_ | (heir_ ? seen & ~kHeir : seen);
  }

  // Stays awake on behalf of the sleepers: nobody need be woken for a lock that this
  // waiter is about to take.
  bool BecomeHeir(uint32_t seen) { return heir_ = TryReplace(word_, seen, seen | kHeir); }

  // Hands on what a waiter that gives up owes to those who sleep: the sleepers bit if the
  // unlock that woke it cleared it, and the end of its time as an heir. The holder's
  // unlock then wakes one. False: the word changed since `seen`.
  bool LeaveToOthers(uint32_t seen) {
    uint32_t left = seen;
    if (slept_ && (seen & kSleepers) == 0) left = (seen & kHolderMask) | SleepersSince(looked_ns_);
    if (heir_) left &= ~kHeir;
    return left == seen || TryReplace(word_, seen, left);
  }

  // Sleeps until it is woken or the deadline has passed, unless the word changed since `seen`.
  void Park(uint32_t seen) {
    const uint32_t marked =
        (seen & kSleepers) != 0 ? seen & ~kHeir : (seen & kHolderMask) | SleepersSince(looked_ns_);
    if (seen == marked || TryReplace(word_, seen, marked)) Sleep(marked);
  }

  // Wakes the oldest sleeper, which inherits the heir bit, and sleeps in its stead.
  void Rotate(uint32_t seen) {
    const uint32_t marked = (seen & ~kRotationMask) | SleepersSince(looked_ns_);
    if (!TryReplace(word_, seen, marked)) return;
    heir_ = false;
    if (!WakeOldest()) return;
    const uint32_t now = __atomic_load_n(word_, __ATOMIC_RELAXED);
    waiting_.gives_way = 1;
    if (IsHeld(now) && (now & kSleepers) != 0) Sleep(now);
    waiting_.gives_way = 0;
  }

  // False: nobody sleeps.
  bool WakeOldest() {
    if (env_.platform->kick(env_.context, word_) != 0) return true;
    // The bits were set for nothing. Whoever lies down once they are clear sets them anew;
    // whoever lay down since the first kick is woken by the second.
    __atomic_fetch_and(word_, kHolderMask, __ATOMIC_RELAXED);
    return env_.platform->kick(env_.context, word_) != 0;
  }

  void Sleep(uint32_t expected) {
    const uint64_t timeout_ns = deadline_ns_ == UINT64_MAX ? UINT64_MAX : deadline_ns_ - looked_ns_;
    heir_ = env_.platform->wait(env_.context, word_, expected, timeout_ns, &waiting_) != 0;
    slept_ = true;
    stalled_since_ns_ = 0;
    ReportWaiting(env_, vcpu_, LOCKHOST_UNKNOWN_VCPU);
    vcpu_ = env_.platform->current_vcpu(env_.context);
    tag_ = HolderTag(vcpu_);
  }

  const lockhost_env& env_;
  uint32_t* const word_;
  const uint64_t deadline_ns_;
  lockhost_thread& self_;
  uint32_t vcpu_;
  uint32_t tag_;
  bool slept_ = false;             // others may sleep still
  bool heir_ = false;              // the heir bit, if set, may be this waiter's
  uint64_t looked_ns_ = 0;         // the time of the last look
  uint64_t progress_ = 0;          // the holder's report word at the last look
  uint64_t stalled_since_ns_ = 0;  // 0: not yet looked
  lockhost_waiting waiting_ = {.awaited_vcpu = LOCKHOST_UNKNOWN_VCPU,
                               .believed_state = LOCKHOST_RUN_STATE_UNSPECIFIED,
                               .gives_way = 0};
};

}  // namespace

}  // namespace lockhost::lock

int lockhost_core_trylock(const lockhost_env* env, uint32_t* word) {
  return lockhost::lock::TryLockOn(*env, word, env->platform->self(env->context),
                                   env->platform->current_vcpu(env->context));
}

void lockhost_core_lock(const lockhost_env* env, uint32_t* word) {
  lockhost_core_lock_until(env, word, UINT64_MAX);
}

int lockhost_core_lock_until(const lockhost_env* env, uint32_t* word, uint64_t deadline_ns) {
  lockhost_thread* self = env->platform->self(env->context);
  const uint32_t vcpu = env->platform->current_vcpu(env->context);
  if (lockhost::lock::TryLockOn(*env, word, self, vcpu)) return 1;
  return lockhost::lock::Wait(*env, word, self, vcpu, deadline_ns).Run() ? 1 : 0;
}

void lockhost_core_unlock(const lockhost_env* env, uint32_t* word) {
  if (lockhost::lock::UnlockOn(*env, word, env->platform->self(env->context),
                               env->platform->current_vcpu(env->context))) {
    env->platform->kick(env->context, word);
  }
}
