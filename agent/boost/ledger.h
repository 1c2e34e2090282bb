// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_LEDGER_H_
#define LOCKHOST_AGENT_BOOST_LEDGER_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "agent/kernel/procfs.h"
#include "common/sched_attributes.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// A thread that is not scheduled as its VMM wanted, and how it was.
struct LedgerEntry {
  // Of the thread, against reuse of its tid; 0: not yet known, any thread of the process.
  uint64_t start_ticks = 0;
  int32_t tid = 0;
  int32_t tgid = 0;
  SchedAttributes ordinary{};
};

// Every thread whose scheduling the agent has changed, in a file that outlives it: whoever
// comes after a crash (the undo helper, the unit's stop hook, the next agent) gives each
// thread back what it had. An entry is written before its thread is changed and cleared
// after it is restored, so a crash at any point leaves at worst an entry too many.
//
// One writer. Owns the mapping.
class Ledger {
 public:
  static constexpr int kEntries = 256;

  // Empty path: anonymous shared memory, for an undo helper alone. INVALID_ARGUMENT: the
  // file is something else.
  static absl::StatusOr<Ledger> Open(const std::string& path);
  Ledger(Ledger&& other) noexcept;
  Ledger& operator=(Ledger&& other) noexcept;
  ~Ledger();

  // -1: full.
  int Enter(const LedgerEntry& entry);
  // Adds what takes long to find out, when there is time.
  void SetStart(int index, uint64_t start_ticks);
  void Clear(int index);

  // Restores every thread that is entered and still is that thread; returns how many it
  // gave back what they had. REQUIRES: the writer is dead, or this is it.
  int Undo(const Procfs& procfs);

 private:
  struct Slot;
  explicit Ledger(Slot* slots) : slots_(slots) {}
  Slot* slots_ = nullptr;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_LEDGER_H_
