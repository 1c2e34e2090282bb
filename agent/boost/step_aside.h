// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_STEP_ASIDE_H_
#define LOCKHOST_AGENT_BOOST_STEP_ASIDE_H_

#include <sched.h>

#include <cstdint>

namespace lockhost::agent {

// Keeps the booster off the CPU of whom it boosts. The kernel moves a thread that becomes real
// time, and finds its CPU taken by another real-time thread, to one where it can run at once; the
// fair scheduler then moves others in return. A VM whose vCPUs are moved about has less of its
// share (agent/README.md, "Measured"). Makes it half as often, not never: a CPU that a real-time
// thread leaves fetches one that waits elsewhere.
//
// For the thread that makes it; not thread-safe.
class StepAside {
 public:
  // Among the CPUs that the calling thread may run on now.
  StepAside();

  // Moves the calling thread elsewhere if it runs on that CPU and there is another one. Costs some
  // 10 us, and nothing if not.
  void From(uint32_t cpu) const;

 private:
  cpu_set_t allowed_;  // empty: not known
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_STEP_ASIDE_H_
