// SPDX-License-Identifier: Apache-2.0
//
// The part of the guest agent that hands pages over and follows threads, in this process, with
// the programs in this machine's kernel.
#ifndef LOCKHOST_TESTS_CLIENT_GUEST_AGENT_THREAD_HOST_H_
#define LOCKHOST_TESTS_CLIENT_GUEST_AGENT_THREAD_HOST_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "client/guest_agent/hint_page_writer.h"
#include "client/guest_agent/page_server.h"
#include "client/guest_agent/report_page.h"
#include "client/guest_agent/threads/thread_desk.h"
#include "common/clock.h"
#include "tests/client/guest_agent/page_file.h"

namespace lockhost::guest_agent {

// True once `condition` holds, within half a minute.
template <typename Condition>
bool Eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    poll(nullptr, 0, 1);
  }
  return true;
}

class ThreadHost {
 public:
  explicit ThreadHost(ThreadRegistry::Limits limits = {}) {
    auto server = PageServer::Create(socket(), 64);
    if (!server.ok()) abort();
    server_ = *std::move(server);
    if (!HintPageWriter::Open(server_->hint_page(), 64, LOCKHOST_PAGE_PATH_GRPC).ok()) abort();
    if (!ReportPage::Open(server_->report_page(), 64).ok()) abort();
    auto desk = ThreadDesk::Open(server_->hint_page(), limits, MonotonicClock(), &stats_);
    status_ = desk.status();
    std::unique_ptr<ThreadDesk> offered;
    if (desk.ok()) offered = *std::move(desk);
    server_->OfferThreads(std::move(offered), OfferOf(status_));
    if (!server_->Start().ok()) abort();
    setenv("LOCKHOST_PAGE_SOCKET", socket().c_str(), 1);
  }

  std::string socket() const { return directory_.File("pages.sock"); }
  const absl::Status& status() const { return status_; }
  const ThreadStats& stats() const { return stats_; }
  uint64_t Results(lockhost_thread_result kind) const { return stats_.results[kind].load(); }
  // As if the agent ended: the programs with it.
  void End() { server_.reset(); }

 private:
  const TestDirectory directory_;
  ThreadStats stats_;
  absl::Status status_;
  std::unique_ptr<PageServer> server_;
};

// Without these rights there is nothing to be seen.
#define LOCKHOST_SKIP_WITHOUT_BPF(host)                                \
  if (absl::IsPermissionDenied((host).status())) {                     \
    GTEST_SKIP() << "no threads here: " << (host).status().ToString(); \
  }                                                                    \
  ASSERT_TRUE((host).status().ok()) << (host).status().ToString()

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_TESTS_CLIENT_GUEST_AGENT_THREAD_HOST_H_
