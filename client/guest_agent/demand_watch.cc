// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/demand_watch.h"

namespace lockhost::guest_agent {

DemandWatch::Change DemandWatch::Step() {
  const bool rung = !demand_ && page_->Rung();
  page_->TakeAwaited(&awaited_);
  if (!demand_) {
    // A mark without a ring: made before the bell was armed.
    if (!rung && awaited_.empty()) return Change::kNone;
    page_->Disarm();
    demand_ = true;
    quiet_ = 0;
    return Change::kBegan;
  }
  if (!awaited_.empty()) {
    quiet_ = 0;
    return Change::kGoesOn;
  }
  if (++quiet_ < limits_.quiet_looks) return Change::kNone;
  demand_ = false;
  return Change::kEnded;
}

}  // namespace lockhost::guest_agent
