// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_PAGE_SERVER_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_PAGE_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/guest_agent/threads/thread_desk.h"
#include "client/page/thread_registration.h"
#include "common/unique_fd.h"

namespace lockhost::guest_agent {

// The two pages in memory that nobody can shrink or grow (sealed memfds), and the socket at
// which applications get them: to each that connects (SOCK_SEQPACKET) one message, the page ABI's
// version as one byte with two descriptors, the hint page's for reading alone and the report
// page's; behind it a byte that says whether thread pages are given (thread_registration.h). Where
// they are, it hears who asks for one, and nobody else; it waits for nobody.
//
// Applications keep their mappings, so pages outlive an agent that restarts: the service
// manager keeps the descriptors (sd_pid_notify_with_fds(3), FDSTORE). Without one an agent that
// restarts makes new pages, and the applications of before go on without hints.
//
// Thread-compatible; one thread of its own serves.
class PageServer {
 public:
  // `slots` is what new pages get. Errors: what the kernel refused, with the reason.
  static absl::StatusOr<std::unique_ptr<PageServer>> Create(std::string socket_path,
                                                            uint32_t slots);
  ~PageServer();
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;

  // Names by which this process opens them.
  std::string hint_page() const;
  std::string report_page() const;

  // Whether thread pages are given; before Start(). Without a desk `offer` says why not.
  void OfferThreads(std::unique_ptr<ThreadDesk> desk, lockhost_threads_offer offer);

  // To be called once the pages are set up. Takes the place of a socket left by an agent before.
  absl::Status Start();

 private:
  PageServer(std::string socket_path, UniqueFd hints, UniqueFd hints_to_read, UniqueFd reports);
  void Serve();
  void Accept();
  void HandOver(int peer) const;

  const std::string socket_path_;
  const UniqueFd hints_;
  const UniqueFd hints_to_read_;
  const UniqueFd reports_;
  std::unique_ptr<ThreadDesk> desk_;  // null: no thread pages
  lockhost_threads_offer offer_ = LOCKHOST_THREADS_OFF;
  UniqueFd listener_;
  UniqueFd stop_;  // an eventfd
  std::thread thread_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_PAGE_SERVER_H_
