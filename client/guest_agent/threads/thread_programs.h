// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_PROGRAMS_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_PROGRAMS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/guest_agent/bpf/shared.h"
#include "client/page/thread_registration.h"

struct thread_state_bpf;

namespace lockhost::guest_agent {

// The BPF programs that write thread pages, loaded into this guest's kernel and attached: they
// end with this object, and with the process. Needs CAP_BPF and CAP_PERFMON, asks for neither
// and for nothing else.
//
// Thread-compatible.
class ThreadPrograms {
 public:
  // Errors: PERMISSION_DENIED without the capabilities (then the kernel is not asked at all);
  // NOT_FOUND where it has no BTF; FAILED_PRECONDITION outside the first pid namespace, whose
  // pids the programs see; others: the kernel does not take them.
  static absl::StatusOr<std::unique_ptr<ThreadPrograms>> Load();
  ~ThreadPrograms();
  ThreadPrograms(const ThreadPrograms&) = delete;
  ThreadPrograms& operator=(const ThreadPrograms&) = delete;

  // Of the map that holds the pages by index.
  int tables_fd() const;

  // From now on threads of the process are followed. REQUIRES: its table is in place.
  absl::Status Add(uint32_t tgid, const lt_process& process);
  // No thread writes into the table any more that begins to do so from now on.
  void Remove(uint32_t tgid, uint32_t table);
  // False: the process has turned into another program (exec) since it was added.
  bool Knows(uint32_t tgid, uint64_t id) const;

  // Sums over all CPUs, by enum lt_counter.
  std::array<uint64_t, LT_COUNTER_COUNT> Counters() const;

 private:
  explicit ThreadPrograms(thread_state_bpf* skeleton) : skeleton_(skeleton) {}

  thread_state_bpf* const skeleton_;
};

// What applications are told of such an error.
lockhost_threads_offer OfferOf(const absl::Status& error);

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_PROGRAMS_H_
