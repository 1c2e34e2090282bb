// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/thread_control.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <thread>

namespace lockhost::agent {
namespace {

constexpr int kLargestNice = 19;
constexpr double kWeightPerNice = 1.25;  // between neighbours in the kernel's table of weights

// Of a thread that never asked for one: a new one.
uint64_t DefaultSliceNs() {
  uint64_t slice_ns = 0;
  std::thread([&] {
    const auto own = GetScheduling(0);
    if (own.ok()) slice_ns = own->runtime_ns;
  }).join();
  return slice_ns;
}

int HeldBackBy(const SchedAttributes& ordinary, int steps) {
  return std::min(steps, kLargestNice - ordinary.nice);
}

}  // namespace

ThreadControl::ThreadControl(BoostMechanism mechanism, Ledger* ledger, const Procfs* procfs)
    : mechanism_(mechanism),
      default_slice_ns_(DefaultSliceNs()),
      ledger_(*ledger),
      procfs_(*procfs) {}

ThreadControl::~ThreadControl() {
  while (!threads_.empty()) {
    const pid_t tid = threads_.begin()->first;
    EndBoost(tid);
    EndHoldBack(tid);
  }
}

absl::StatusOr<ThreadControl::Changed*> ThreadControl::Take(pid_t tgid, pid_t tid) {
  if (const auto known = threads_.find(tid); known != threads_.end()) return &known->second;
  auto ordinary = GetScheduling(tid);
  if (!ordinary.ok()) return ordinary.status();
  // To set what is read would make the thread one that asked for a slice of its own.
  if (ordinary->runtime_ns == default_slice_ns_) ordinary->runtime_ns = 0;
  if (!MayBoost(*ordinary)) return absl::FailedPreconditionError("not an ordinary thread");
  const int index = ledger_.Enter({.tid = tid, .tgid = tgid, .ordinary = *ordinary});
  if (index < 0) return absl::ResourceExhaustedError("the boost ledger is full");
  return &threads_.emplace(tid, Changed{*ordinary, tgid, index}).first->second;
}

void ThreadControl::CatchUp() {
  for (auto& [tid, thread] : threads_) {
    if (thread.start_ticks != 0) continue;
    const auto stat = procfs_.ThreadStat(thread.tgid, tid);
    if (!stat) continue;
    thread.start_ticks = stat->start_ticks;
    ledger_.SetStart(thread.ledger_index, stat->start_ticks);
  }
}

SchedAttributes ThreadControl::Wanted(const Changed& thread) const {
  if (thread.boosted) return Boosted(mechanism_, thread.ordinary);
  SchedAttributes wanted = thread.ordinary;
  if (thread.held_back) wanted.nice += HeldBackBy(thread.ordinary, kHeldBackNice);
  return wanted;
}

absl::Status ThreadControl::Apply(pid_t tid) {
  const auto found = threads_.find(tid);
  const Changed& thread = found->second;
  absl::Status applied = SetScheduling(tid, Wanted(thread));
  if (!thread.boosted && !thread.held_back) Forget(tid);
  return applied;
}

bool ThreadControl::HasGone(pid_t tid, const Changed& thread) const {
  const auto stat = procfs_.ThreadStat(thread.tgid, tid);
  return !stat || (thread.start_ticks != 0 && stat->start_ticks != thread.start_ticks);
}

void ThreadControl::Forget(pid_t tid) {
  const auto thread = threads_.find(tid);
  ledger_.Clear(thread->second.ledger_index);
  threads_.erase(thread);
}

// The kernel moves a thread that becomes real time, and finds its CPU taken by a real-time thread
// that does not give way, to where it can run at once; the fair scheduler then moves others in
// return, and in a VM whose vCPUs are moved about some have twice as much time as others. So it
// passes the booster first: if they are on one CPU it is the booster that is moved. Not where the
// booster has no other CPU to go to, for it has to end the boost.
void ThreadControl::PassBooster(pid_t tid, const Changed& thread) const {
  cpu_set_t own;
  if (mechanism_ != BoostMechanism::kFifo || sched_getaffinity(0, sizeof(own), &own) != 0) return;
  if (CPU_COUNT(&own) < 2) return;
  SchedAttributes passing = Wanted(thread);
  passing.priority = kPassingPriority;
  SetScheduling(tid, passing).IgnoreError();  // what is wrong Apply() finds, too
}

absl::Status ThreadControl::Boost(pid_t tgid, pid_t tid) {
  const auto thread = Take(tgid, tid);
  if (!thread.ok()) return thread.status();
  (*thread)->boosted = true;
  PassBooster(tid, **thread);
  absl::Status applied = Apply(tid);
  if (!applied.ok()) EndBoost(tid);
  return applied;
}

void ThreadControl::EndBoost(pid_t tid, bool surely_there) {
  const auto thread = threads_.find(tid);
  if (thread == threads_.end() || !thread->second.boosted) return;
  if (!surely_there && HasGone(tid, thread->second)) return Forget(tid);
  thread->second.boosted = false;
  Apply(tid).IgnoreError();  // fails only where the thread has ended
}

bool ThreadControl::IsBoosted(pid_t tid) const {
  const auto thread = threads_.find(tid);
  return thread != threads_.end() && thread->second.boosted;
}

absl::Status ThreadControl::HoldBack(pid_t tgid, pid_t tid) {
  const auto thread = Take(tgid, tid);
  if (!thread.ok()) return thread.status();
  (*thread)->held_back = true;
  absl::Status applied = Apply(tid);
  if (!applied.ok()) EndHoldBack(tid);
  return applied;
}

void ThreadControl::EndHoldBack(pid_t tid) {
  const auto thread = threads_.find(tid);
  if (thread == threads_.end() || !thread->second.held_back) return;
  if (HasGone(tid, thread->second)) return Forget(tid);
  thread->second.held_back = false;
  Apply(tid).IgnoreError();  // fails only where the thread has ended
}

double ThreadControl::WeightRatio(pid_t tid) const {
  const auto thread = threads_.find(tid);
  if (thread == threads_.end() || !thread->second.held_back) return 1;
  return std::pow(kWeightPerNice, -HeldBackBy(thread->second.ordinary, kHeldBackNice));
}

}  // namespace lockhost::agent
