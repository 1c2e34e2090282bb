// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_THREAD_SAMPLER_H_
#define LOCKHOST_AGENT_SOURCE_THREAD_SAMPLER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "agent/kernel/procfs.h"
#include "client/page/hint_page.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// What a sample of a thread says of the vCPU that it runs. Pure. The kernel brings a
// running thread's time up to date at each tick alone, so two samples must be at least
// a tick apart; a thread that got less than the whole of the time between two samples
// still counts as running. HALTED cannot be told from EXITED.
lockhost_run_state JudgeRunState(char thread_state, bool gained_run_time);

struct ThreadSample {
  lockhost_run_state state;
  uint64_t steal_ns;
};

// Samples one thread through its open proc files. Not thread-safe.
class ThreadSampler {
 public:
  // nullopt: no such thread, or its files cannot be read.
  static std::optional<ThreadSampler> Open(const Procfs& procfs, pid_t pid, pid_t tid);

  pid_t tid() const { return tid_; }
  // nullopt: the thread has ended.
  std::optional<ThreadSample> Sample();

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
