// SPDX-License-Identifier: Apache-2.0
#include "agent/source/switch_recorder.h"

#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::agent {
namespace {

size_t PageBytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

perf_event_attr SwitchesOfAThread() {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_DUMMY;
  attributes.context_switch = 1;
  attributes.sample_id_all = 1;
  attributes.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
  attributes.use_clockid = 1;
  attributes.clockid = CLOCK_MONOTONIC;
  attributes.write_backward = 1;  // with a read-only mapping: the newest overwrite the oldest
  attributes.exclude_kernel = 1;  // no more privilege than the records need
  attributes.exclude_hv = 1;
  return attributes;
}

absl::Status PerfError(pid_t tid) {
  const std::string attempt = absl::StrCat("record the switches of thread ", tid);
  if (errno == ESRCH) return absl::NotFoundError(attempt);
  if (errno == EACCES || errno == EPERM) {
    return absl::PermissionDeniedError(
        absl::StrCat(attempt, " (CAP_PERFMON, or perf_event_paranoid and perf_event_mlock_kb)"));
  }
  return absl::ErrnoToStatus(errno, attempt);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SwitchRecorder>> SwitchRecorder::Open(const Procfs& procfs,
                                                                     pid_t pid, pid_t tid) {
  // The proc files first: whoever they speak of for ever must be whom perf records.
  UniqueFd stat = procfs.OpenThreadFile(pid, tid, "stat");
  UniqueFd schedstat = procfs.OpenThreadFile(pid, tid, "schedstat");
  if (!stat.valid() || !schedstat.valid()) return absl::NotFoundError("the thread has gone");
  perf_event_attr attributes = SwitchesOfAThread();
  UniqueFd event(static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, tid, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event.valid()) return PerfError(tid);
  if (!ParseStat(ReadAgain(stat))) return absl::NotFoundError("the thread has gone");
  std::unique_ptr<SwitchRecorder> recorder(
      new SwitchRecorder(tid, std::move(event), std::move(stat), std::move(schedstat)));
  void* ring = mmap(nullptr, 2 * PageBytes(), PROT_READ, MAP_SHARED, recorder->event_.get(), 0);
  if (ring == MAP_FAILED) return PerfError(tid);
  recorder->ring_ = ring;
  return recorder;
}

SwitchRecorder::~SwitchRecorder() {
  if (ring_ != nullptr) munmap(ring_, 2 * PageBytes());
}

// The head counts down from 0 and points at the newest record; what lies behind it, up to
// the last look's head, is new. The kernel may go on writing: what it could have reached
// meanwhile is not counted.
void SwitchRecorder::Drain() {
  auto* page = static_cast<perf_event_mmap_page*>(ring_);
  const std::atomic_ref<__u64> head_word(page->data_head);
  const size_t ring_bytes = PageBytes();
  const auto* data = static_cast<const std::byte*>(ring_) + ring_bytes;
  std::array<std::byte, 4096> copy;
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    const uint64_t head = head_word.load(std::memory_order_acquire);
    const size_t fresh = std::min<uint64_t>(read_to_ - head, std::min(ring_bytes, copy.size()));
    for (size_t at = 0; at < fresh; ++at) copy[at] = data[(head + at) % ring_bytes];
    std::atomic_thread_fence(std::memory_order_acquire);
    const uint64_t written = head - head_word.load(std::memory_order_relaxed);
    if (written + kSwitchRecordBytes > ring_bytes) continue;  // even the newest may be torn
    const size_t sound = std::min<size_t>(fresh, ring_bytes - written);
    const SwitchHistory history = ParseSwitches(std::span(copy).first(sound));
    if (history.newest) newest_ = history.newest;
    preemptions_ += history.preemptions;
    read_to_ = head;
    return;
  }
}

// Records tell of switches; that a sleeper was woken and waits for a CPU they do not.
lockhost_run_state SwitchRecorder::Judge(char thread_state) const {
  if (!newest_) {
    return thread_state == 'R' ? LOCKHOST_RUN_STATE_UNSPECIFIED : LOCKHOST_RUN_STATE_EXITED;
  }
  if (newest_->kind == SwitchRecord::Kind::kIn) return LOCKHOST_RUN_STATE_RUNNING;
  if (newest_->kind == SwitchRecord::Kind::kPreempted || thread_state == 'R') {
    return LOCKHOST_RUN_STATE_PREEMPTED;
  }
  return LOCKHOST_RUN_STATE_EXITED;
}

std::optional<ThreadSample> SwitchRecorder::Sample() {
  const auto stat = ParseStat(ReadAgain(stat_));
  const auto schedstat = ParseSchedstat(ReadAgain(schedstat_));
  if (!stat || !schedstat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
  Drain();
  ThreadSample sample{Judge(stat->state), schedstat->delay_ns, std::nullopt, preemptions_};
  const bool woken = newest_ && newest_->kind == SwitchRecord::Kind::kOut &&
                     sample.state == LOCKHOST_RUN_STATE_PREEMPTED;
  if (newest_ && !woken) sample.since_ns = newest_->at_ns;
  return sample;
}

}  // namespace lockhost::agent
