// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_HINT_PAGE_WRITER_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_HINT_PAGE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/guest_agent/mapped_page.h"
#include "client/page/hint_page.h"

namespace lockhost::guest_agent {

// The one writer of a hint page (client/page/hint_page.h). A page found at start, left
// by an agent before, keeps its slots' number: applications may have it mapped.
//
// Thread-compatible: one thread writes at a time. Readers in other processes need
// nothing from it.
// Memory order: a slot's `state_word` is stored with release order after the rest of
// the slot, the lease with release order after whatever it makes count, `magic` with
// release order after the set-up.
class HintPageWriter {
 public:
  // `slots` is what a new page gets; a page that is there already may have fewer.
  // The page is void until ExtendLease(). Errors: as MappedPage::Open.
  static absl::StatusOr<HintPageWriter> Open(const std::string& path, uint32_t slots,
                                             lockhost_page_path writer_path);

  uint32_t slot_count() const { return slot_count_; }
  uint64_t generation() const { return page_->generation; }

  // Mode and generation as the host gives them. Another generation voids the page and
  // clears all slots first: nothing old may be taken for new.
  void SetHost(uint64_t generation, lockhost_mode mode);
  void SetMode(lockhost_mode mode);
  // How often the host looks at the vCPUs, where it does not see every switch; 0: it does.
  void SetSampledEvery(uint32_t period_ns);

  // REQUIRES: vcpu_id < slot_count().
  void WriteSlot(uint32_t vcpu_id, const lockhost_hint_slot& slot);

  // Every slot says "no hint".
  void ClearSlots();

  // Hints count until then (the guest's CLOCK_MONOTONIC, ns).
  void ExtendLease(uint64_t valid_until_ns);
  // No hint counts from now on. Async-signal-safe.
  void Void() { ExtendLease(0); }

 private:
  HintPageWriter(MappedPage mapping, uint32_t slot_count, lockhost_page_path writer_path);
  lockhost_hint_slot* slot(uint32_t vcpu_id) const;

  MappedPage mapping_;
  lockhost_hint_header* page_;
  uint32_t slot_count_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_HINT_PAGE_WRITER_H_
