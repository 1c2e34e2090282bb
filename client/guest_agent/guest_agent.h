// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_GUEST_AGENT_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_GUEST_AGENT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/guest_agent/demand_watch.h"
#include "client/guest_agent/hint_page_writer.h"
#include "client/guest_agent/hint_receiver.h"
#include "client/guest_agent/host_link.h"
#include "client/guest_agent/preempted_holders.h"
#include "client/guest_agent/report_page.h"
#include "client/guest_agent/stats.h"
#include "common/clock.h"

namespace lockhost::guest_agent {

// The guest agent: writes the hint page from the host's stream, tells the host of
// demand and of preempted holders. Two threads: the link's, which reads hints and answers
// them, and the caller of Run().
class GuestAgent {
 public:
  struct Options {
    HostLink::Options host;
    std::string hint_page;
    std::string report_page;
    uint32_t slots = 256;
    // LOCKHOST_PAGE_PATH_DIRECT_MAP: the slots are in a page that the host writes; only
    // header and lease are written here, and there is no demand.
    lockhost_page_path path = LOCKHOST_PAGE_PATH_GRPC;
    HintReceiver::Options receiver;  // slots_elsewhere follows from `path`
    DemandWatch::Limits demand;
    std::function<void()> on_poked;  // by Run()'s thread, after each Poke()
  };

  // Maps the pages and connects. Errors: as the pages' Open.
  static absl::StatusOr<std::unique_ptr<GuestAgent>> Create(Options options, Clock clock,
                                                            HostLink::Observer observer);
  ~GuestAgent();
  GuestAgent(const GuestAgent&) = delete;
  GuestAgent& operator=(const GuestAgent&) = delete;

  // Watches demand until RequestStop() (OK), or until the host said that there is
  // nothing to come back for (its status). The page is void afterwards.
  absl::Status Run();

  // Async-signal-safe, from any thread.
  void RequestStop();
  void Poke();
  void VoidPage() { hints_.Void(); }

  const Stats& stats() const { return stats_; }

 private:
  GuestAgent(Options options, Clock clock, HostLink::Observer observer, HintPageWriter hints,
             ReportPage reports);

  bool stopping() const { return stop_.load() || refused_.load(); }
  void SleepBetweenLooks();
  void SleepUntilRung();
  void Tell(DemandWatch::Change change);

  Options options_;
  HintPageWriter hints_;
  ReportPage reports_;
  Stats stats_;
  HintReceiver receiver_;
  DemandWatch watch_;
  PreemptedHolders holders_;          // the link's thread's
  bool looked_early_ = false;         // under demand: the bell was rung before the time
  v1::ReportHoldersRequest request_;  // reused
  std::atomic<bool> stop_{false};
  std::atomic<bool> refused_{false};  // the host's status is in refusal_
  absl::Status refusal_;
  uint32_t poke_ = 0;  // futex word; accessed atomically
  std::unique_ptr<HostLink> link_;
};

}  // namespace lockhost::guest_agent

#endif  // LOCKHOST_CLIENT_GUEST_AGENT_GUEST_AGENT_H_
