// SPDX-License-Identifier: Apache-2.0
#include "agent/boost/step_aside.h"

namespace lockhost::agent {

StepAside::StepAside() {
  if (sched_getaffinity(0, sizeof(allowed_), &allowed_) != 0) CPU_ZERO(&allowed_);
}

void StepAside::From(uint32_t cpu) const {
  if (static_cast<int>(cpu) != sched_getcpu()) return;
  cpu_set_t others = allowed_;
  CPU_CLR(cpu, &others);
  // Where that may not be, the boosted thread may be moved: so be it.
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof(others), &others) != 0) return;
  sched_setaffinity(0, sizeof(allowed_), &allowed_);  // moves nobody, and binds nobody
}

}  // namespace lockhost::agent
