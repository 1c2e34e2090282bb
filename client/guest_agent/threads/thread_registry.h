// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_REGISTRY_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_REGISTRY_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>

#include "absl/status/statusor.h"
#include "client/guest_agent/stats.h"
#include "client/guest_agent/threads/peer.h"
#include "client/guest_agent/threads/thread_programs.h"
#include "client/guest_agent/threads/thread_tables.h"
#include "client/page/thread_registration.h"
#include "common/clock.h"
#include "common/token_bucket.h"
#include "common/unique_fd.h"

namespace lockhost::guest_agent {

// The processes whose threads the programs follow, each with a page of its own. One leaves when
// it ends, which its pidfd says; a connection kept open would cost the process a descriptor, and
// its children of fork() would keep it open. One that turns into another program (exec) is
// forgotten by the BPF programs at that moment, and may register anew.
//
// Thread-compatible.
class ThreadRegistry {
 public:
  struct Limits {
    size_t processes = LT_MAX_PROCESSES - 8;  // the rest are pages kept ready
    size_t of_one_user = 64;                  // root too: half is for the others
    // Whoever got a page may keep its memory for longer than its process lives: a descriptor can
    // be handed on. So this bounds how fast it can be gathered.
    uint32_t grants_per_second = 4;
    uint32_t grants_at_once = 256;
  };
  struct Grant {
    lockhost_thread_result result = LOCKHOST_THREAD_RESULT_NONE;
    int page_fd = -1;  // the registry's; with GRANTED alone
  };

  // Errors: as ThreadPrograms::Load(). `stats` outlives the registry.
  static absl::StatusOr<std::unique_ptr<ThreadRegistry>> Create(Limits limits, Clock clock,
                                                                ThreadStats* stats);
  ThreadRegistry(const ThreadRegistry&) = delete;
  ThreadRegistry& operator=(const ThreadRegistry&) = delete;

  // Pages of this registry carry it; never 0.
  uint64_t generation() const { return generation_; }

  // What a peer has sent, which may be anything.
  Grant Register(absl::StatusOr<Peer> peer, const void* request, size_t bytes);

  // Readable when a process may have ended: then Reap().
  int event_fd() const { return ended_.get(); }
  void Reap();
  bool empty() const { return processes_.empty(); }

  // Work that nobody waits for; true if there is more.
  bool Prepare();
  bool HasToPrepare() const { return tables_.HasToPrepare(); }

  // Brings the counters of the programs into the statistics.
  void CountPrograms();

 private:
  struct Process {
    Peer peer;
    uint64_t id = 0;
    ThreadTables::Table table;
  };

  ThreadRegistry(Limits limits, Clock clock, ThreadStats* stats,
                 std::unique_ptr<ThreadPrograms> programs, UniqueFd ended);
  Grant Decide(absl::StatusOr<Peer> peer, const void* request, size_t bytes);
  Grant Admit(Peer peer, int64_t number_offset);
  bool HasRoomFor(uid_t uid) const;
  void Drop(std::map<pid_t, Process>::iterator process);
  void Count(lockhost_thread_result result);

  const Limits limits_;
  const Clock clock_;
  const uint64_t generation_;
  ThreadStats* const stats_;
  const std::unique_ptr<ThreadPrograms> programs_;
  ThreadTables tables_;
  const UniqueFd ended_;  // an epoll instance over the pidfds
  TokenBucket grants_;
  uint64_t next_id_ = 1;
  std::map<pid_t, Process> processes_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_REGISTRY_H_
