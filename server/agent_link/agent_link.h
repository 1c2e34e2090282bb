// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_AGENT_LINK_AGENT_LINK_H_
#define LOCKHOST_SERVER_AGENT_LINK_AGENT_LINK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/channel/agent_client.h"
#include "agent/table/boost_log.h"
#include "agent/table/host_page.h"
#include "agent/table/stats_reader.h"
#include "common/backoff.h"
#include "common/unique_fd.h"
#include "server/interest/interest_map.h"
#include "server/publisher/hint_ring.h"

namespace lockhost::server {

// What a connected agent offers. Null: it does not have it, or what it sent is of no use.
struct AgentOffer {
  std::unique_ptr<HintRing> ring;  // without it tables must be looked at
  std::unique_ptr<InterestMap> interest;
  std::shared_ptr<const agent::StatsReader> stats;
  std::shared_ptr<const agent::HostPageReader> host_page;
  std::shared_ptr<const agent::BoostLogReader> boost_log;
  UniqueFd boost_requests;
};

// What the agent's word leads to. All calls come from the thread that runs the link.
class AgentListener {
 public:
  virtual ~AgentListener() = default;
  // The agent is connected, and every VM it knows has been told.
  virtual void OnAgentHere(const agent::SourceMessage& source, AgentOffer offer) = 0;
  virtual void OnAgentGone(const absl::Status& why, uint64_t retry_in_ns) = 0;
  // A VM is new, or something about it has changed.
  virtual absl::Status OnVm(const agent::VmMessage& message, int table_fd) = 0;
  virtual void OnVmGone(uint64_t vm_id) = 0;
  // Something the agent sent was of no use; it is left out and the link goes on.
  virtual void OnBadEvent(const absl::Status& why) = 0;
};

// The connection to the agent: subscribes, reconnects with backoff, and tells the
// listener. VMs that a new connection does not name again are gone. No thread of its
// own: the caller polls fd() for reading, until deadline_ns(), and calls Step().
class AgentLink {
 public:
  // `listener` outlives the link.
  AgentLink(std::string socket_path, Backoff::Limits backoff, uint64_t seed,
            AgentListener* listener);

  int fd() const { return client_.has_value() ? client_->fd() : -1; }
  // When to call Step() though nothing is readable (ns, CLOCK_MONOTONIC); UINT64_MAX never.
  uint64_t deadline_ns() const { return client_.has_value() ? UINT64_MAX : retry_at_ns_; }

  // Takes what there is; tries to connect when that is due.
  void Step(uint64_t now_ns);

 private:
  void Connect(uint64_t now_ns);
  void Lost(const absl::Status& why, uint64_t now_ns);
  void TellSource();
  template <typename T>
  T TakeOffered(absl::StatusOr<T> offered);
  void Take(agent::SourceEvent& event);
  void Take(agent::VmEvent& event);
  void Take(agent::VmGoneEvent& event);
  void Take(agent::SyncedEvent& event);
  void Take(agent::AckEvent&) {}
  void Take(agent::ErrorEvent& event);

  const std::string socket_path_;
  AgentListener* const listener_;
  Backoff backoff_;
  uint64_t retry_at_ns_ = 0;
  bool synced_ = false;  // all that was there when we subscribed has been named
  agent::SourceEvent source_;
  std::optional<agent::AgentClient> client_;
  std::set<uint64_t> known_;  // VMs that the listener has
  std::set<uint64_t> named_;  // of these, named on this connection
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_AGENT_LINK_AGENT_LINK_H_
