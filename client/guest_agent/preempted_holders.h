// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_PREEMPTED_HOLDERS_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_PREEMPTED_HOLDERS_H_

#include <cstdint>

#include "client/guest_agent/report_page.h"
#include "common/clock.h"
#include "common/token_bucket.h"
#include "lockhost/v1/hints.pb.h"

namespace lockhost::guest_agent {

// Tells the host which vCPU it has just preempted holds a lock that somebody waits for, so
// that it may run it again: at the message that says so, by the thread that read it. For a
// holder that nobody waits for yet it arms the bell: the first waiter to come rings, and the
// main thread's next look, which names holders too, comes at once. Nothing of all that where
// the host reads the report words itself: the message then brings the holder's.
//
// Not thread-safe: the stream's thread's.
class PreemptedHolders {
 public:
  static constexpr uint32_t kReportsPerSecond = 200;
  static constexpr uint32_t kReportBurst = 20;

  // `page` outlives the object.
  PreemptedHolders(ReportPage* page, Clock clock)
      : page_(page), clock_(clock), pace_(kReportsPerSecond, kReportBurst) {}

  // What to answer to a message of the host; null: nothing. Speaks of the generation of the
  // last snapshot. Valid until the next call.
  const v1::ReportHoldersRequest* AnswerTo(const v1::WatchHintsResponse& message);

 private:
  bool IsToBeNamed(uint32_t vcpu_id);

  ReportPage* const page_;
  const Clock clock_;
  TokenBucket pace_;
  v1::ReportHoldersRequest request_;  // reused; its generation is that of the last snapshot
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_PREEMPTED_HOLDERS_H_
