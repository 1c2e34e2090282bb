// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_DESK_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_DESK_H_

#include <poll.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/guest_agent/mapped_page.h"
#include "client/guest_agent/stats.h"
#include "client/guest_agent/threads/thread_registry.h"
#include "client/page/hint_page.h"
#include "common/clock.h"
#include "common/unique_fd.h"

namespace lockhost::guest_agent {

// Where processes ask for their thread pages: connections that have got the hint page and may
// send a request (client/page/thread_registration.h); and the lease of the thread pages, in the
// header of the hint page. Waits for nobody: its owner polls for it, and for nothing but events
// while no process is registered; while one is, it is woken once a second for the lease.
//
// Thread-compatible.
class ThreadDesk {
 public:
  // Long against the second in which it is moved on, short against what a frozen page may cost.
  static constexpr uint64_t kLeaseNs = 3'000'000'000;

  // `hint_page` is the page's path. Errors: as ThreadRegistry::Create and MappedPage::Open.
  static absl::StatusOr<std::unique_ptr<ThreadDesk>> Open(const std::string& hint_page,
                                                          ThreadRegistry::Limits limits,
                                                          Clock clock, ThreadStats* stats);
  // No thread page counts any more.
  ~ThreadDesk();
  ThreadDesk(const ThreadDesk&) = delete;
  ThreadDesk& operator=(const ThreadDesk&) = delete;

  // A connection that has just got the pages. It has a second to ask; of too many the oldest is
  // closed.
  void Take(UniqueFd connection);

  // Adds what is to be polled. The same, with what poll() found, goes to Work() then.
  void Watch(std::vector<pollfd>* watched) const;
  int TimeoutMs() const;  // for poll(): -1 where only events matter
  void Work(const pollfd* found, size_t count);

 private:
  struct Visitor {
    UniqueFd connection;
    uint64_t until_ns = 0;
  };

  ThreadDesk(MappedPage page, Clock clock, std::unique_ptr<ThreadRegistry> registry);
  // True: there is nothing more to be said to it.
  bool Serve(const Visitor& visitor);
  void ExtendLease(uint64_t now_ns);
  void EndLease();
  lockhost_hint_header* header() const {
    return static_cast<lockhost_hint_header*>(page_.memory());
  }

  const MappedPage page_;
  const Clock clock_;
  const std::unique_ptr<ThreadRegistry> registry_;
  std::deque<Visitor> visitors_;
  uint64_t extended_ns_ = 0;  // when the lease was moved on; 0: there is none
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_THREADS_THREAD_DESK_H_
