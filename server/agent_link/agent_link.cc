// SPDX-License-Identifier: Apache-2.0
#include "server/agent_link/agent_link.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace lockhost::server {

AgentLink::AgentLink(std::string socket_path, Backoff::Limits backoff, uint64_t seed,
                     AgentListener* listener)
    : socket_path_(std::move(socket_path)), listener_(listener), backoff_(backoff, seed) {}

void AgentLink::Step(uint64_t now_ns) {
  if (!client_.has_value() && now_ns >= retry_at_ns_) Connect(now_ns);
  while (client_.has_value()) {
    absl::StatusOr<std::optional<agent::AgentEvent>> event = client_->Receive();
    if (!event.ok()) return Lost(event.status(), now_ns);
    if (!event->has_value()) return;
    std::visit([this](auto& each) { Take(each); }, **event);
  }
}

void AgentLink::Connect(uint64_t now_ns) {
  absl::StatusOr<agent::AgentClient> client = agent::AgentClient::Connect(socket_path_);
  if (!client.ok()) return Lost(client.status(), now_ns);
  if (absl::Status subscribed = client->Subscribe(); !subscribed.ok()) {
    return Lost(subscribed, now_ns);
  }
  client_.emplace(*std::move(client));
  named_.clear();
}

void AgentLink::Lost(const absl::Status& why, uint64_t now_ns) {
  client_.reset();
  synced_ = false;
  const uint64_t delay_ns = backoff_.NextDelayNs();
  retry_at_ns_ = now_ns + delay_ns;
  listener_->OnAgentGone(why, delay_ns);
}

template <typename T>
T AgentLink::TakeOffered(absl::StatusOr<T> offered) {
  if (offered.ok()) return *std::move(offered);
  listener_->OnBadEvent(offered.status());
  return nullptr;
}

void AgentLink::TellSource() {
  AgentOffer offer;
  if (source_.hint_ring.valid()) {
    offer.ring = TakeOffered(HintRing::Open(std::move(source_.hint_ring)));
  }
  if (source_.interest.valid()) {
    offer.interest = TakeOffered(InterestMap::Map(source_.interest.get()));
  }
  if (source_.stats.valid()) {
    offer.stats = TakeOffered(agent::StatsReader::Attach(source_.stats.get()));
  }
  if (source_.host_page.valid()) {
    offer.host_page = TakeOffered(agent::HostPageReader::Attach(source_.host_page.get()));
  }
  if (source_.boost_log.valid()) {
    offer.boost_log = TakeOffered(agent::BoostLogReader::Attach(source_.boost_log.get()));
  }
  offer.boost_requests = std::move(source_.boost_requests);
  listener_->OnAgentHere(source_.message, std::move(offer));
}

void AgentLink::Take(agent::SourceEvent& event) {
  source_ = std::move(event);
  if (synced_) TellSource();
}

void AgentLink::Take(agent::VmEvent& event) {
  named_.insert(event.message.vm_id);
  const absl::Status taken = listener_->OnVm(event.message, event.table.get());
  if (taken.ok()) {
    known_.insert(event.message.vm_id);
  } else {
    listener_->OnBadEvent(taken);
  }
}

void AgentLink::Take(agent::VmGoneEvent& event) {
  named_.erase(event.message.vm_id);
  if (known_.erase(event.message.vm_id) != 0) listener_->OnVmGone(event.message.vm_id);
}

void AgentLink::Take(agent::SyncedEvent&) {
  for (auto at = known_.begin(); at != known_.end();) {
    if (named_.contains(*at)) {
      ++at;
      continue;
    }
    listener_->OnVmGone(*at);
    at = known_.erase(at);
  }
  backoff_.Reset();
  synced_ = true;
  TellSource();
}

void AgentLink::Take(agent::ErrorEvent& event) {
  listener_->OnBadEvent(absl::UnknownError(absl::StrCat("the agent says: ", event.text)));
}

}  // namespace lockhost::server
