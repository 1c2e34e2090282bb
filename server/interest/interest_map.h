// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_INTEREST_INTEREST_MAP_H_
#define LOCKHOST_SERVER_INTEREST_INTEREST_MAP_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "agent/channel/protocol.h"
#include "server/interest/demand.h"

namespace lockhost::server {

// The agent's interest map, mapped writable: one entry for each VM index, telling BPF
// (or the agent's sampler) what lockhostd wants to be woken for. Owns the mapping; the
// descriptor stays the caller's. Not thread-safe: the publisher's thread writes.
class InterestMap {
 public:
  // Errors: what mmap says; INVALID_ARGUMENT for a file shorter than kMaxVms entries.
  static absl::StatusOr<std::unique_ptr<InterestMap>> Map(int fd);
  ~InterestMap();
  InterestMap(const InterestMap&) = delete;
  InterestMap& operator=(const InterestMap&) = delete;

  // An index out of range does nothing. `until_ns` is stored last (release), so that
  // whoever sees it sees the rest.
  void Set(uint32_t vm_index, uint64_t vm_id, uint64_t until_ns,
           const uint64_t (&awaited)[Demand::kWords]);
  void Clear(uint32_t vm_index);

 private:
  explicit InterestMap(agent::InterestEntry* entries) : entries_(entries) {}

  agent::InterestEntry* const entries_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_INTEREST_INTEREST_MAP_H_
