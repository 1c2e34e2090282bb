// SPDX-License-Identifier: Apache-2.0
#include "server/service/connection_gate.h"

#include <algorithm>
#include <utility>

namespace lockhost::server {

ConnectionGate::ConnectionGate(const ConnectionLimits& limits, ConnectionCounters* counters,
                               ConnectionWatcher* watcher)
    : counters_(counters),
      watcher_(watcher),
      limits_(limits),
      accepts_(limits.accepts_per_second, limits.accept_burst),
      budget_(limits) {}

void ConnectionGate::SetLimits(const ConnectionLimits& limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
  accepts_ = TokenBucket(limits.accepts_per_second, limits.accept_burst);
  budget_ = FrameBudget(limits);
}

uint64_t ConnectionGate::AcceptableAtNs() const {
  const std::lock_guard lock(mutex_);
  return accepts_.ReadyAtNs();
}

bool ConnectionGate::Admit(std::unique_ptr<PeerStream> connection, uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (!accepts_.Take(now_ns)) {
    counters_->of(Refusal::kTooFast).fetch_add(1);
    return false;
  }
  const bool more = connection->HasMore();
  auto relay = Relay::Create(std::move(connection), &budget_, [this](int peer_fd, bool wait) {
    watcher_->WaitWritable(peer_fd, wait);
  });
  // No descriptors left is as good as too many.
  if (open_.size() >= limits_.connections || !relay.ok() ||
      !watcher_->Watch((*relay)->peer_fd(), (*relay)->pipe_fd()).ok()) {
    counters_->of(Refusal::kTooMany).fetch_add(1);
    return false;
  }
  open_.push_back({*std::move(relay), now_ns + limits_.silence_ns, more});
  counters_->accepted.fetch_add(1);
  counters_->open = static_cast<uint32_t>(open_.size());
  return true;
}

UniqueFd ConnectionGate::OnPeer(int peer_fd, bool hung_up, uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const At found = std::find_if(open_.begin(), open_.end(), [peer_fd](const auto& connection) {
    return connection.relay->peer_fd() == peer_fd;
  });
  if (found == open_.end()) return UniqueFd();
  if (hung_up || found->relay->SendOut() == Relay::State::kOver) {
    Close(found);
    return UniqueFd();
  }
  return TakeIn(found, now_ns);
}

void ConnectionGate::OnGrpc(int pipe_fd) {
  const std::lock_guard lock(mutex_);
  const At found = std::find_if(open_.begin(), open_.end(), [pipe_fd](const auto& connection) {
    return connection.relay->pipe_fd() == pipe_fd;
  });
  if (found != open_.end() && found->relay->SendOut() == Relay::State::kOver) Close(found);
}

UniqueFd ConnectionGate::TakeIn(At connection, uint64_t now_ns) {
  const Relay::Taken taken = connection->relay->TakeIn(now_ns);
  if (taken.refused.has_value()) {
    Refuse(connection, *taken.refused);
    return UniqueFd();
  }
  if (taken.over) {
    Close(connection);
    return UniqueFd();
  }
  connection->more = taken.more;
  if (connection->relay->called()) connection->silent_until_ns = UINT64_MAX;
  return connection->relay->TakeGrpcEnd();
}

std::vector<UniqueFd> ConnectionGate::Continue(uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  std::vector<UniqueFd> ready;
  for (size_t i = open_.size(); i-- > 0;) {
    const At connection = open_.begin() + static_cast<ptrdiff_t>(i);
    if (connection->silent_until_ns <= now_ns) {
      Refuse(connection, Refusal::kSilent);
    } else if (connection->more) {
      UniqueFd grpc_end = TakeIn(connection, now_ns);
      if (grpc_end.valid()) ready.push_back(std::move(grpc_end));
    }
  }
  return ready;
}

uint64_t ConnectionGate::deadline_ns() const {
  const std::lock_guard lock(mutex_);
  uint64_t first_ns = UINT64_MAX;
  for (const Connection& connection : open_) {
    first_ns = std::min(first_ns, connection.more ? 0 : connection.silent_until_ns);
  }
  return first_ns;
}

std::shared_ptr<Relay> ConnectionGate::Find(int grpc_fd) const {
  const std::lock_guard lock(mutex_);
  // The newest of that number: an older one is about to be seen to be over.
  const auto found = std::find_if(open_.rbegin(), open_.rend(), [grpc_fd](const auto& connection) {
    return connection.relay->grpc_fd() == grpc_fd;
  });
  return found == open_.rend() ? nullptr : found->relay;
}

size_t ConnectionGate::open() const {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

bool ConnectionGate::HasTakenIn() const {
  const std::lock_guard lock(mutex_);
  return std::all_of(open_.begin(), open_.end(),
                     [](const Connection& each) { return each.relay->HasTakenIn(); });
}

void ConnectionGate::Clear() {
  const std::lock_guard lock(mutex_);
  while (!open_.empty()) {
    open_.back().relay->SendOut();
    Close(open_.end() - 1);
  }
}

void ConnectionGate::Refuse(At connection, Refusal why) {
  counters_->of(why).fetch_add(1);
  Close(connection);
}

void ConnectionGate::Close(At connection) {
  watcher_->Unwatch(connection->relay->peer_fd(), connection->relay->pipe_fd());
  connection->relay->Disconnect();
  open_.erase(connection);
  counters_->open = static_cast<uint32_t>(open_.size());
}

}  // namespace lockhost::server
