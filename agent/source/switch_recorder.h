// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_SWITCH_RECORDER_H_
#define LOCKHOST_AGENT_SOURCE_SWITCH_RECORDER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "agent/kernel/procfs.h"
#include "agent/source/switch_records.h"
#include "agent/source/thread_observer.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// Has the kernel record each switch of one thread (perf context-switch records) in a ring
// of one page that the newest records overwrite: the last one says what the thread does,
// nobody is woken for it, and nothing that matters can be lost.
class SwitchRecorder : public ThreadObserver {
 public:
  // Errors: PERMISSION_DENIED perf events are not for us (CAP_PERFMON, perf_event_paranoid),
  // or there is no more locked memory for them (CAP_IPC_LOCK, perf_event_mlock_kb);
  // NOT_FOUND the thread has gone.
  static absl::StatusOr<std::unique_ptr<SwitchRecorder>> Open(const Procfs& procfs, pid_t pid,
                                                              pid_t tid);
  ~SwitchRecorder() override;
  SwitchRecorder(const SwitchRecorder&) = delete;
  SwitchRecorder& operator=(const SwitchRecorder&) = delete;

  pid_t tid() const override { return tid_; }
  std::optional<ThreadSample> Sample() override;

 private:
  SwitchRecorder(pid_t tid, UniqueFd event, UniqueFd stat, UniqueFd schedstat)
      : tid_(tid),
        event_(std::move(event)),
        stat_(std::move(stat)),
        schedstat_(std::move(schedstat)) {}
  void Drain();
  lockhost_run_state Judge(char thread_state) const;

  pid_t tid_;
  UniqueFd event_;
  UniqueFd stat_;
  UniqueFd schedstat_;
  void* ring_ = nullptr;
  uint64_t read_to_ = 0;  // the head at the last look; it counts down
  std::optional<SwitchRecord> newest_;
  uint64_t preemptions_ = 0;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_SWITCH_RECORDER_H_
