// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_THREAD_SAMPLER_H_
#define LOCKHOST_AGENT_SOURCE_THREAD_SAMPLER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "agent/kernel/procfs.h"
#include "agent/source/thread_observer.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// What a sample of a thread says of the vCPU that it runs. Pure. The kernel brings a
// running thread's time up to date at each tick alone, so two samples must be at least
// a tick apart; a thread that got less than the whole of the time between two samples
// still counts as running. HALTED cannot be told from EXITED.
lockhost_run_state JudgeRunState(char thread_state, bool gained_run_time);

// Samples one thread through its open proc files.
class ThreadSampler : public ThreadObserver {
 public:
  // Null: no such thread, or its files cannot be read.
  static std::unique_ptr<ThreadSampler> Open(const Procfs& procfs, pid_t pid, pid_t tid);

  pid_t tid() const override { return tid_; }
  std::optional<ThreadSample> Sample() override;

 private:
  ThreadSampler(pid_t tid, UniqueFd stat, UniqueFd schedstat)
      : tid_(tid), stat_(std::move(stat)), schedstat_(std::move(schedstat)) {}

  pid_t tid_;
  UniqueFd stat_;
  UniqueFd schedstat_;
  std::optional<uint64_t> run_ns_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_THREAD_SAMPLER_H_
