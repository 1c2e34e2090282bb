// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "client/lock/attach.h"
#include "client/lock/lock_mode.h"
#include "client/lock/lockhost.h"
#include "client/lock/process.h"

namespace lockhost::lock {
namespace {

uint64_t NowNs(const lockhost_env& env) { return env.platform->now_ns(env.context); }

const char* PathName(const lockhost_pages& pages) {
  switch (__atomic_load_n(&pages.hints->path, __ATOMIC_RELAXED)) {
    case LOCKHOST_PAGE_PATH_GRPC:
      return "grpc";
    case LOCKHOST_PAGE_PATH_DIRECT_MAP:
      return "direct-map";
    case LOCKHOST_PAGE_PATH_DIRECT_FILE:
      return "direct-file";
    default:
      return "unknown";
  }
}

// Which operations free locks are taken by, and why.
const char* ModeText(const lockhost_env& env) {
  if (env.operations == nullptr) return "paravirtual: that is how every process begins";
  const ModeView view = ReadMode(env, NowNs(env));
  switch (view.setting) {
    case ModeSetting::kNative:
      return "native: LOCKHOST_MODE=native";
    case ModeSetting::kParavirtual:
      return "paravirtual: LOCKHOST_MODE=paravirtual";
    case ModeSetting::kAuto:
      break;
  }
  switch (view.advised) {
    case LOCKHOST_MODE_OVERCOMMITTED:
      return "paravirtual: the host may preempt vCPUs";
    case LOCKHOST_MODE_DEDICATED:
      return view.napped_lately ? "paravirtual: the host has a CPU for each vCPU, but threads of "
                                  "this process lost theirs lately"
                                : "native: the host has a CPU for each vCPU";
    default:
      return "paravirtual: the host has not said that each vCPU has a CPU";
  }
}

const char* ResultText(const ThreadsState& state) {
  switch (state.result) {
    case LOCKHOST_THREAD_RESULT_GRANTED:
      return state.mapped ? "threads not known: the guest agent that told of them has ended, or "
                            "this is a child of fork()"
                          : "threads not known: what the guest agent gave is no frozen BPF array";
    case LOCKHOST_THREAD_RESULT_ALREADY:
      return "threads not known: another copy of this library has asked for them";
    case LOCKHOST_THREAD_RESULT_TOO_MANY:
      return "threads not known: lockhost-guestd follows as many processes as it may";
    case LOCKHOST_THREAD_RESULT_NONE:
      return "threads not known: lockhost-guestd did not answer";
    default:
      return "threads not known: lockhost-guestd refused; its counters say why";
  }
}

// Whether the guest's scheduler tells which threads run, and if not why.
const char* ThreadsText(const lockhost_env& env) {
  if (lockhost_thread_slots(env.threads) != 0) {
    return lockhost_threads_valid(env.threads, NowNs(env))
               ? "threads known"
               : "threads not known: lockhost-guestd has not been heard for seconds";
  }
  switch (threads_state.offer) {
    case LOCKHOST_THREADS_ON:
      return ResultText(threads_state);
    case LOCKHOST_THREADS_OFF:
      return "threads not known: lockhost-guestd runs with --threads=off";
    case LOCKHOST_THREADS_UNPRIVILEGED:
      return "threads not known: lockhost-guestd lacks CAP_BPF and CAP_PERFMON";
    case LOCKHOST_THREADS_NO_BTF:
      return "threads not known: the kernel has no BTF";
    case LOCKHOST_THREADS_PID_NAMESPACE:
      return "threads not known: lockhost-guestd is not in the first pid namespace";
    case LOCKHOST_THREADS_REFUSED:
      return "threads not known: the kernel does not take the BPF programs; lockhost-guestd's log "
             "says why";
    default:
      return "threads not known: nobody tells";
  }
}

}  // namespace
}  // namespace lockhost::lock

lockhost_status_code_t lockhost_status(void) {
  const auto result = static_cast<lockhost_status_code_t>(
      __atomic_load_n(&lockhost::lock::attach_result, __ATOMIC_ACQUIRE));
  if (result != LOCKHOST_STATUS_HINTS) return result;
  const lockhost_env& env = lockhost::lock::ProcessEnv();
  return lockhost_lease_valid(&env.pages, lockhost::lock::NowNs(env)) ? LOCKHOST_STATUS_HINTS
                                                                      : LOCKHOST_STATUS_STALE;
}

const char* lockhost_status_text(lockhost_status_code_t status) {
  switch (status) {
    case LOCKHOST_STATUS_NOT_ATTACHED:
      return "not attached: no lock was contended yet";
    case LOCKHOST_STATUS_HINTS:
      return "hints are used";
    case LOCKHOST_STATUS_DISABLED:
      return "no hints: LOCKHOST_HINTS=off";
    case LOCKHOST_STATUS_NO_PAGE:
      return "no hints: nobody hands the hint page over; does lockhost-guestd run?";
    case LOCKHOST_STATUS_BAD_PAGE:
      return "no hints: the hint page is of another ABI version or damaged";
    case LOCKHOST_STATUS_STALE:
      return "no hints: the page's lease has run out; is the host reachable?";
    case LOCKHOST_STATUS_UNSEALED:
      return "no hints: the hint page is not sealed against shrinking, so it is not mapped";
    case LOCKHOST_STATUS_BAD_SETTING:
      return "no hints: LOCKHOST_HINTS is neither on nor off, or LOCKHOST_MODE none of native, "
             "paravirtual, auto";
  }
  return "unknown status";
}

size_t lockhost_describe(char* text, size_t bytes) {
  const lockhost_env& env = lockhost::lock::ProcessEnv();
  const char* mode = lockhost::lock::ModeText(env);
  const char* status = lockhost_status_text(lockhost_status());
  const lockhost_pages& pages = env.pages;
  const int length = pages.hints == nullptr
                         ? snprintf(text, bytes, "%s; %s", status, mode)
                         : snprintf(text, bytes, "%s; path %s, %u slots, %s; %s; %s", status,
                                    lockhost::lock::PathName(pages), pages.hint_slots,
                                    pages.reports != nullptr ? "reports" : "no reports", mode,
                                    lockhost::lock::ThreadsText(env));
  return length > 0 ? static_cast<size_t>(length) : 0;
}
