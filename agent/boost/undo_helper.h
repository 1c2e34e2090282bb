// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_BOOST_UNDO_HELPER_H_
#define LOCKHOST_AGENT_BOOST_UNDO_HELPER_H_

#include <sys/types.h>

#include "absl/status/statusor.h"
#include "agent/boost/ledger.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// A process that sleeps until this one has ended, however it ends, and then gives every
// thread in the ledger back what it had. It is real time itself, or boosted threads that
// nobody ends any more could keep it off the CPU; it never runs before that. (RLIMIT_RTTIME
// would end a boost as well, by killing the VMM.)
class UndoHelper {
 public:
  // REQUIRES: the calling process has one thread, and `ledger` lives as long as this.
  static absl::StatusOr<UndoHelper> Start(Ledger* ledger, const Procfs* procfs);
  UndoHelper(UndoHelper&&) = default;
  UndoHelper& operator=(UndoHelper&&) = default;
  // Lets it go; it undoes what the ledger still holds.
  ~UndoHelper();

  pid_t pid() const { return pid_; }

 private:
  UndoHelper(pid_t pid, UniqueFd life) : pid_(pid), life_(std::move(life)) {}
  pid_t pid_;
  UniqueFd life_;  // our end of a pipe: it reads end-of-file when we are gone
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_BOOST_UNDO_HELPER_H_
