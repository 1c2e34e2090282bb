// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/preempted_holders.h"

namespace lockhost::guest_agent {

bool PreemptedHolders::IsToBeNamed(uint32_t vcpu_id) {
  if (!page_->IsHolder(vcpu_id)) return false;
  if (page_->IsAwaitedHolder(vcpu_id)) return true;
  page_->Arm();
  // A waiter that came before the bell was armed has not rung it.
  return page_->IsAwaitedHolder(vcpu_id);
}

const v1::ReportHoldersRequest* PreemptedHolders::AnswerTo(const v1::WatchHintsResponse& message) {
  if (message.has_snapshot()) request_.set_generation(message.snapshot().generation());
  if (!message.has_delta()) return nullptr;
  request_.clear_holders();
  for (const v1::VcpuHint& hint : message.delta().vcpus()) {
    if (hint.run_state() != v1::RUN_STATE_PREEMPTED) continue;
    // A host that reads report words has seen it at the switch, and asked its booster.
    if (hint.report_word() != 0) continue;
    if (!IsToBeNamed(hint.vcpu_id())) continue;
    v1::HolderReport* holder = request_.add_holders();
    holder->set_vcpu_id(hint.vcpu_id());
    holder->set_revision(hint.revision());
    holder->set_contended(true);
  }
  if (request_.holders().empty() || !pace_.Take(clock_.now_ns())) return nullptr;
  return &request_;
}

}  // namespace lockhost::guest_agent
