// SPDX-License-Identifier: Apache-2.0
#include "agent/source/thread_sampler.h"

#include <utility>

namespace lockhost::agent {

lockhost_run_state JudgeRunState(char thread_state, bool gained_run_time) {
  if (thread_state != 'R') return LOCKHOST_RUN_STATE_EXITED;
  return gained_run_time ? LOCKHOST_RUN_STATE_RUNNING : LOCKHOST_RUN_STATE_PREEMPTED;
}

std::unique_ptr<ThreadSampler> ThreadSampler::Open(const Procfs& procfs, pid_t pid, pid_t tid) {
  UniqueFd stat = procfs.OpenThreadFile(pid, tid, "stat");
  UniqueFd schedstat = procfs.OpenThreadFile(pid, tid, "schedstat");
  if (!stat.valid() || !schedstat.valid()) return nullptr;
  return std::unique_ptr<ThreadSampler>(
      new ThreadSampler(tid, std::move(stat), std::move(schedstat)));
}

std::optional<ThreadSample> ThreadSampler::Sample() {
  const auto stat = ParseStat(ReadAgain(stat_));
  const auto schedstat = ParseSchedstat(ReadAgain(schedstat_));
  if (!stat || !schedstat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
  // With one sample alone nothing is known of gains; a runnable thread may well run.
  const bool gained = !run_ns_ || schedstat->run_ns > *run_ns_;
  run_ns_ = schedstat->run_ns;
  return ThreadSample{.state = JudgeRunState(stat->state, gained),
                      .steal_ns = schedstat->delay_ns,
                      .since_ns = std::nullopt,
                      .preemptions = std::nullopt};
}

}  // namespace lockhost::agent
