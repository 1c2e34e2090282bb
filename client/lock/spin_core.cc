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

bool TryTake(uint32_t* word, uint32_t expected, uint32_t desired) {
  return __atomic_compare_exchange_n(word, &expected, desired, /*weak=*/false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

void NoteAcquired(const lockhost_env& env, uint32_t vcpu) {
  lockhost_thread* self = env.platform->self(env.context);
  ++self->held;
  ReportHeld(env, vcpu, *self);
}

// One wait for the lock, from the first failed attempt to the acquisition.
class Wait {
 public:
  Wait(const lockhost_env& env, uint32_t* word, uint32_t vcpu)
      : env_(env), word_(word), vcpu_(vcpu), tag_(HolderTag(vcpu)) {}

  // Returns the vCPU on which the lock was taken.
  uint32_t Run() {
    for (uint32_t round = 1;; ++round) {
      const uint32_t seen = __atomic_load_n(word_, __ATOMIC_RELAXED);
      if (!IsHeld(seen)) {
        if (TryTake(word_, seen, tag_ | (seen & kSleepers) | sleepers_)) return vcpu_;
        continue;
      }
      if (round % kRoundsBetweenLooks == 0 && Look(seen) == Advice::kPark) {
        Park(seen);
        continue;
      }
      env_.platform->pause(env_.context, &waiting_);
    }
  }

 private:
  // Takes stock: who holds the lock, does it move, does the holder run.
  Advice Look(uint32_t seen) {
    const uint64_t now_ns = env_.platform->now_ns(env_.context);
    const uint32_t holder = HolderVcpu(seen);
    const uint64_t progress = ReportWordOf(env_, holder);
    if (holder != waiting_.awaited_vcpu || progress != progress_ || stalled_since_ns_ == 0) {
      waiting_.awaited_vcpu = holder;
      progress_ = progress;
      stalled_since_ns_ = now_ns;
    }
    MarkAwaited(env_, holder);
    RingIfArmed(env_);
    waiting_.believed_state = lockhost_read_hint(&env_.pages, holder, now_ns);
    return Advise({.holder_state = waiting_.believed_state,
                   .hints_are_prompt = lockhost_hints_are_prompt(&env_.pages) != 0,
                   .holder_on_my_vcpu = holder == vcpu_,
                   .stalled_ns = now_ns - stalled_since_ns_});
  }

  // Sleeps until the lock is released, unless it changed since `seen`.
  void Park(uint32_t seen) {
    const uint32_t marked = seen | kSleepers;
    if (seen != marked && !TryTake(word_, seen, marked)) return;
    env_.platform->wait(env_.context, word_, marked, UINT64_MAX, &waiting_);
    sleepers_ = kSleepers;
    stalled_since_ns_ = 0;
    vcpu_ = env_.platform->current_vcpu(env_.context);
    tag_ = HolderTag(vcpu_);
  }

  const lockhost_env& env_;
  uint32_t* const word_;
  uint32_t vcpu_;
  uint32_t tag_;
  uint32_t sleepers_ = 0;          // kSleepers once this waiter has slept: others may sleep still
  uint64_t progress_ = 0;          // the holder's report word at the last look
  uint64_t stalled_since_ns_ = 0;  // 0: not yet looked
  lockhost_waiting waiting_ = {.awaited_vcpu = LOCKHOST_UNKNOWN_VCPU,
                               .believed_state = LOCKHOST_RUN_STATE_UNSPECIFIED};
};

}  // namespace
}  // namespace lockhost::lock

using lockhost::lock::HolderTag;

int lockhost_core_trylock(const lockhost_env* env, uint32_t* word) {
  const uint32_t vcpu = env->platform->current_vcpu(env->context);
  if (!lockhost::lock::TryTake(word, 0, HolderTag(vcpu))) return 0;
  lockhost::lock::NoteAcquired(*env, vcpu);
  return 1;
}

void lockhost_core_lock(const lockhost_env* env, uint32_t* word) {
  uint32_t vcpu = env->platform->current_vcpu(env->context);
  if (!lockhost::lock::TryTake(word, 0, HolderTag(vcpu))) {
    vcpu = lockhost::lock::Wait(*env, word, vcpu).Run();
  }
  lockhost::lock::NoteAcquired(*env, vcpu);
}

void lockhost_core_unlock(const lockhost_env* env, uint32_t* word) {
  lockhost_thread* self = env->platform->self(env->context);
  --self->held;
  const uint32_t old = __atomic_exchange_n(word, 0, __ATOMIC_RELEASE);
  lockhost::lock::ReportHeld(*env, env->platform->current_vcpu(env->context), *self);
  if (old & lockhost::lock::kSleepers) env->platform->kick(env->context, word);
}
