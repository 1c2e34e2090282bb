// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_DEMAND_WATCH_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_DEMAND_WATCH_H_

#include <cstdint>
#include <vector>

#include "client/guest_agent/report_page.h"

namespace lockhost::guest_agent {

// Whether somebody in the guest waits for a lock. Idle, the agent sleeps on the bell;
// once rung it looks at the marks at a steady pace, without any wake-up by the
// applications, and after some looks that found nothing it is idle again.
//
// A ring costs at least `quiet_looks` looks before the next one is heard, so a hostile
// application cannot make the agent talk to the host any faster than a busy one does.
//
// Thread-compatible. No clock, no system call: the caller sleeps.
class DemandWatch {
 public:
  struct Limits {
    uint64_t look_interval_ns = 50'000'000;
    uint64_t ttl_ns = 200'000'000;  // what the host is asked to believe; > quiet_looks looks
    int quiet_looks = 3;
  };
  enum class Change { kNone, kBegan, kGoesOn, kEnded };

  // `page` outlives the watch.
  DemandWatch(ReportPage* page, Limits limits) : page_(page), limits_(limits) {}

  bool demand() const { return demand_; }
  const Limits& limits() const { return limits_; }

  // Idle: arms the bell. Afterwards sleep until *page->bell() is not bell_value() any
  // more, then Step().
  void Arm() { bell_value_ = page_->Arm(); }
  uint32_t bell_value() const { return bell_value_; }

  // One look: after a sleep on the bell when idle, every look interval under demand.
  // kBegan and kGoesOn: tell the host, with awaited(). kEnded: tell it too.
  Change Step();

  // The vCPUs that were awaited at the last look.
  const std::vector<uint32_t>& awaited() const { return awaited_; }

 private:
  ReportPage* const page_;
  const Limits limits_;
  bool demand_ = false;
  int quiet_ = 0;
  uint32_t bell_value_ = 0;
  std::vector<uint32_t> awaited_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_DEMAND_WATCH_H_
