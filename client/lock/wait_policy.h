// SPDX-License-Identifier: Apache-2.0
//
// Spin or park: the whole policy as a pure function.
//
// While the holder runs, its release is near and spinning is the fastest way to get
// the lock. While it does not run, every cycle spent spinning is lost, and on a full
// host it is taken from the holder itself. Without knowledge the best that can be
// done is to spin about as long as parking and waking would cost (Karlin et al.,
// "Competitive Snoopy Caching": at most twice the optimum).
#ifndef LOCKHOST_CLIENT_LOCK_WAIT_POLICY_H_
#define LOCKHOST_CLIENT_LOCK_WAIT_POLICY_H_

#include <cstdint>

#include "client/page/thread_page.h"

namespace lockhost::lock {

// How long a waiter spins on one holder that makes no visible progress. A sleep and
// a wake-up cost 5 to 50 us on an overcommitted host.
inline constexpr uint64_t kBlindSpinNs = 25'000;
// The same for a holder that the scheduler itself says runs (direct page): longer, yet
// bounded, because a hint may be wrong and its effect on a waiter must end by itself. A
// page that is written from messages goes on saying RUNNING for the time a message takes,
// about as long as the blind spin: there RUNNING is no reason to wait longer.
inline constexpr uint64_t kRunningSpinNs = 200'000;

enum class Advice { kSpin, kPark };

// What a waiter knows when it decides.
struct WaitView {
  uint32_t holder_state;   // enum lockhost_run_state, as lockhost_read_hint() gives it
  bool hints_are_prompt;   // the page changes at the switch (direct), not by messages
  bool holder_on_my_vcpu;  // last seen on the vCPU I run on: then it does not run
  bool holder_may_sleep;   // a mutex: that the vCPU runs does not say that the holder does
  bool holder_is_native;   // in native mode: each vCPU has a CPU, that of the holder too
  uint64_t stalled_ns;     // since the lock last changed hands before my eyes
  uint32_t holder_thread;  // enum lockhost_thread_state, by the guest's own scheduler
};

// How long to spin on a holder that is not known not to run.
constexpr uint64_t SpinLimitNs(const WaitView& view) {
  const bool on_guest_cpu = view.holder_thread == LOCKHOST_THREAD_STATE_ON_CPU;
  const bool may_sleep = view.holder_may_sleep && !on_guest_cpu;
  if (may_sleep) return kBlindSpinNs;
  if (view.holder_is_native) return kRunningSpinNs;
  if (view.holder_state == LOCKHOST_RUN_STATE_RUNNING) {
    return view.hints_are_prompt ? kRunningSpinNs : kBlindSpinNs;
  }
  // Where nothing is known of vCPUs there may be none, and the guest's CPU is a real one.
  return on_guest_cpu ? kRunningSpinNs : kBlindSpinNs;
}

constexpr Advice Advise(const WaitView& view) {
  if (view.holder_on_my_vcpu) return Advice::kPark;
  if (view.holder_thread == LOCKHOST_THREAD_STATE_PREEMPTED ||
      view.holder_thread == LOCKHOST_THREAD_STATE_ASLEEP) {
    return Advice::kPark;
  }
  const bool vcpu_is_off = view.holder_state == LOCKHOST_RUN_STATE_PREEMPTED ||
                           view.holder_state == LOCKHOST_RUN_STATE_HALTED ||
                           view.holder_state == LOCKHOST_RUN_STATE_EXITED;
  if (vcpu_is_off && !(view.holder_is_native && !view.holder_may_sleep)) return Advice::kPark;
  return view.stalled_ns < SpinLimitNs(view) ? Advice::kSpin : Advice::kPark;
}

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_WAIT_POLICY_H_
