// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_REPORT_PAGE_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_REPORT_PAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/guest_agent/mapped_page.h"
#include "client/page/report_page.h"

namespace lockhost::guest_agent {

// The guest agent's side of the report page (client/page/report_page.h). Every
// application of the guest may write the page: a value read from it is compared with
// zero or with an older one, and never used as an index or a size.
//
// Thread-compatible: one thread of the agent uses it, and any other its const functions and
// Arm(), whatever others do to the memory, except shrink the file: the daemon catches SIGBUS for
// that.
class ReportPage {
 public:
  // `slots` is what a new page gets. Errors: as MappedPage::Open.
  static absl::StatusOr<ReportPage> Open(const std::string& path, uint32_t slots);

  uint32_t slot_count() const { return slot_count_; }

  // From now on the next waiter rings. Returns the value to wait for on bell().
  uint32_t Arm();
  void Disarm();
  // A waiter has rung since Arm(): the bell is no longer armed.
  bool Rung() const;
  // Futex word; a ring changes it.
  uint32_t* bell() const { return &page_->bell; }

  // Whether anybody has marked a vCPU as awaited. Leaves the marks alone.
  bool AnyAwaited() const;
  // Whether a thread on this vCPU holds a lock, and whether somebody waits for it, as far as
  // the page says. False for a vCPU without a slot.
  bool IsHolder(uint32_t vcpu_id) const;
  bool IsAwaitedHolder(uint32_t vcpu_id) const;
  // Ids of the vCPUs that were marked since the last call, and clears the marks.
  void TakeAwaited(std::vector<uint32_t>* vcpus);

 private:
  ReportPage(MappedPage mapping, uint32_t slot_count);
  lockhost_report_slot* slot(uint32_t vcpu_id) const;

  MappedPage mapping_;
  lockhost_report_header* page_;
  uint32_t slot_count_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_REPORT_PAGE_H_
