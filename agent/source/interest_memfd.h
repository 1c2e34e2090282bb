// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_INTEREST_MEMFD_H_
#define LOCKHOST_AGENT_SOURCE_INTEREST_MEMFD_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "agent/channel/protocol.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// The interest array where there is no BPF: a memfd of kMaxVms InterestEntry that nobody
// can resize. lockhostd writes it; this side reads, and believes nothing but that a VM
// has demand: which costs samples, no more.
//
// Thread-safe.
class InterestMemfd {
 public:
  static absl::StatusOr<std::unique_ptr<InterestMemfd>> Create();
  ~InterestMemfd();
  InterestMemfd(const InterestMemfd&) = delete;
  InterestMemfd& operator=(const InterestMemfd&) = delete;

  int fd() const { return fd_.get(); }
  bool HasDemand(uint32_t vm_index, uint64_t vm_id, uint64_t now_ns) const;

 private:
  InterestMemfd(UniqueFd fd, const InterestEntry* entries)
      : fd_(std::move(fd)), entries_(entries) {}

  UniqueFd fd_;
  const InterestEntry* entries_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_INTEREST_MEMFD_H_
