// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_THREAD_OBSERVER_H_
#define LOCKHOST_AGENT_SOURCE_THREAD_OBSERVER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "client/page/hint_page.h"

namespace lockhost::agent {

// What a look at a thread says of the vCPU that it runs.
struct ThreadSample {
  lockhost_run_state state = LOCKHOST_RUN_STATE_UNSPECIFIED;
  uint64_t steal_ns = 0;
  // Where they are known: since when (CLOCK_MONOTONIC), and how often the thread was
  // switched out while runnable since it has been observed.
  std::optional<uint64_t> since_ns = std::nullopt;
  std::optional<uint64_t> preemptions = std::nullopt;
};

// Watches one thread from user space. Not thread-safe.
class ThreadObserver {
 public:
  virtual ~ThreadObserver() = default;
  virtual pid_t tid() const = 0;
  // nullopt: the thread has ended.
  virtual std::optional<ThreadSample> Sample() = 0;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_THREAD_OBSERVER_H_
