// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_TABLES_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_TABLES_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/unique_fd.h"

namespace lockhost::guest_agent {

// Thread pages: one frozen BPF array each, which BPF programs write and nobody else can, and
// which whoever has its descriptor can map for reading. To put one where the programs find it
// waits for a grace period of the kernel, tens of ms where CPUs are busy, and an application would
// wait with it: so some are kept ready. Each belongs to one process in its life: its children may
// have it mapped for ever.
//
// Thread-compatible.
class ThreadTables {
 public:
  struct Table {
    uint32_t index = 0;
    UniqueFd fd;
  };

  // `by_index` is the map that the programs look them up in; it outlives this object.
  ThreadTables(int by_index, uint64_t generation);

  // One that was ready, or else one that is made now. RESOURCE_EXHAUSTED: all are in use;
  // others: what the kernel lacks.
  absl::StatusOr<Table> Take();
  // REQUIRES: the programs do not write it any more.
  void Release(uint32_t index);

  // Makes one table ready, or does away with one that was released. False: there is nothing to
  // do, or it failed; Take() then tries again, and says why it cannot.
  bool PrepareOne();
  bool HasToPrepare() const;

 private:
  absl::StatusOr<Table> MakeOne();

  const int by_index_;
  const uint64_t generation_;
  bool failed_ = false;
  std::vector<uint32_t> free_;   // indexes without a table
  std::vector<uint32_t> stale_;  // with one that was released
  std::vector<Table> ready_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_TABLES_H_
