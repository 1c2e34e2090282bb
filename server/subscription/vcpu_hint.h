// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SUBSCRIPTION_VCPU_HINT_H_
#define LOCKHOST_SERVER_SUBSCRIPTION_VCPU_HINT_H_

#include <cstdint>

#include "agent/table/table_reader.h"
#include "lockhost/v1/hints.pb.h"

namespace lockhost::server {

// A slot of the table as the wire says it. `now_ns`: the table's clock
// (CLOCK_MONOTONIC). A run state this version does not know is "no hint".
inline void FillVcpuHint(uint32_t vcpu_id, const agent::VcpuObservation& seen, uint64_t now_ns,
                         v1::VcpuHint* hint) {
  const uint32_t state = seen.run_state();
  hint->set_vcpu_id(vcpu_id);
  hint->set_run_state(state <= LOCKHOST_RUN_STATE_EXITED ? static_cast<v1::RunState>(state)
                                                         : v1::RUN_STATE_UNSPECIFIED);
  hint->set_revision(seen.revision());
  hint->set_report_word(seen.witness);
  hint->set_age_ns(now_ns > seen.since_ns ? now_ns - seen.since_ns : 0);
  hint->set_steal_ns(seen.steal_ns);
  hint->set_preemptions(seen.preemptions);
  hint->set_lock_holder_preemptions(seen.lock_holder_preemptions);
}

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SUBSCRIPTION_VCPU_HINT_H_
