// SPDX-License-Identifier: Apache-2.0
#include "server/service/tls_door.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace lockhost::server {
namespace {

constexpr int kAcceptsAtOnce = 16;
constexpr int kEventsAtOnce = 64;
// When descriptors or memory have run out: the listener would tell all the time, for nothing.
constexpr uint64_t kTroublePauseNs = 100'000'000;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

// Readable once, after `ns`; UINT64_MAX: never.
void SetTimer(int fd, uint64_t ns) {
  itimerspec spec{};
  if (ns != UINT64_MAX) {
    const uint64_t some_ns = std::max<uint64_t>(ns, 1);
    spec.it_value = {static_cast<time_t>(some_ns / kNsPerSecond),
                     static_cast<long>(some_ns % kNsPerSecond)};
  }
  timerfd_settime(fd, 0, &spec, nullptr);
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsDoor>> TlsDoor::Open(Listener listener, Rules rules, Wire* wire,
                                                       TlsCounters* counters) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return absl::ErrnoToStatus(errno, "epoll_create1");
  UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.valid()) return absl::ErrnoToStatus(errno, "timerfd_create");
  std::unique_ptr<TlsDoor> door(new TlsDoor(std::move(listener), std::move(rules), std::move(epoll),
                                            std::move(timer), wire, counters));
  absl::Status watched = door->Watch(door->listener_.fd());
  if (watched.ok()) watched = door->Watch(door->timer_.get());
  if (watched.ok()) watched = wire->accept_loop().Add(door.get());
  if (!watched.ok()) return watched;
  return door;
}

TlsDoor::TlsDoor(Listener listener, Rules rules, UniqueFd epoll, UniqueFd timer, Wire* wire,
                 TlsCounters* counters)
    : listener_(std::move(listener)),
      epoll_(std::move(epoll)),
      timer_(std::move(timer)),
      wire_(wire),
      counters_(counters),
      rules_(std::move(rules)),
      accepts_(rules_.limits.accepts_per_second, rules_.limits.accept_burst),
      addresses_(rules_.limits.address_accepts_per_second, rules_.limits.address_accept_burst) {
  guests_.Configure(rules_.guests);
}

TlsDoor::~TlsDoor() { wire_->accept_loop().Remove(this); }

void TlsDoor::SetRules(Rules rules) {
  const std::lock_guard lock(mutex_);
  if (rules.limits != rules_.limits) {
    accepts_ = TokenBucket(rules.limits.accepts_per_second, rules.limits.accept_burst);
    addresses_ =
        AddressLimit(rules.limits.address_accepts_per_second, rules.limits.address_accept_burst);
  }
  rules_ = std::move(rules);
  guests_.Configure(rules_.guests);
}

void TlsDoor::Put(const VmFacts& facts, VmServer* server) {
  const std::lock_guard lock(mutex_);
  guests_.Put(facts.vm_id, facts.name, facts.uuid);
  servers_[facts.vm_id] = server;
}

void TlsDoor::Remove(uint64_t vm_id) {
  const std::lock_guard lock(mutex_);
  guests_.Remove(vm_id);
  servers_.erase(vm_id);
}

absl::Status TlsDoor::Watch(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "watch a socket");
}

uint64_t TlsDoor::Accept(uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  epoll_event events[kEventsAtOnce];
  const int count = epoll_wait(epoll_.get(), events, kEventsAtOnce, 0);
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (fd == listener_.fd()) {
      TakeConnections(now_ns);
    } else if (fd != timer_.get()) {
      Continue(fd, now_ns);
    }
  }
  Expire(now_ns);
  return 0;
}

void TlsDoor::TakeConnections(uint64_t now_ns) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    if (accepts_.ReadyAtNs() > now_ns) {
      counters_->accept_pauses.fetch_add(1);
      return PauseListener(accepts_.ReadyAtNs());
    }
    UniqueFd connection = listener_.Accept();
    if (!connection.valid()) {
      if (errno != EAGAIN) PauseListener(now_ns + kTroublePauseNs);
      return;
    }
    if (ComesTooFast(connection.get(), now_ns)) {
      counters_->of(TlsRefusal::kAddress).fetch_add(1);
      continue;
    }
    accepts_.Take(now_ns);
    Begin(std::move(connection), now_ns);
  }
}

bool TlsDoor::ComesTooFast(int connection, uint64_t now_ns) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  // Where it cannot be asked any more the peer has gone.
  if (getpeername(connection, address, &size) != 0) return false;
  const std::optional<PeerAddress> peer = ParsePeerAddress(address);
  return peer.has_value() && !addresses_.Take(*peer, now_ns);
}

void TlsDoor::Begin(UniqueFd connection, uint64_t now_ns) {
  // A hint is small and must not wait for the acknowledgement of the last one.
  const int on = 1;
  setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  std::unique_ptr<TlsSession> session = TlsSession::Accept(*rules_.context);
  const int fd = connection.get();
  if (session == nullptr || !Watch(fd).ok()) {
    counters_->of(TlsRefusal::kTooMany).fetch_add(1);
    return;
  }
  if (pending_.size() >= rules_.limits.handshakes) Refuse(pending_.begin(), TlsRefusal::kTooMany);
  pending_.push_back({std::make_unique<TlsStream>(std::move(connection), std::move(session)),
                      now_ns + rules_.limits.handshake_ns});
}

void TlsDoor::Continue(int fd, uint64_t now_ns) {
  const At at = std::find_if(pending_.begin(), pending_.end(),
                             [fd](const Pending& each) { return each.stream->fd() == fd; });
  if (at == pending_.end()) return;
  switch (at->stream->Handshake()) {
    case TlsSession::Progress::kWantsMore:
      return;
    case TlsSession::Progress::kFailed:
      return Refuse(at, at->stream->why());
    case TlsSession::Progress::kDone:
      return Admit(at, now_ns);
  }
}

void TlsDoor::Admit(At at, uint64_t now_ns) {
  const std::vector<std::string> names = at->stream->PeerNames();
  const TlsGuests::Owner owner = guests_.Find(names);
  if (!owner.found) return Refuse(at, owner.why);
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, at->stream->fd(), nullptr);
  servers_.at(owner.vm_id)->Admit(std::move(at->stream), now_ns);
  pending_.erase(at);
}

// The socket leaves the epoll set by being closed.
void TlsDoor::Refuse(At at, TlsRefusal why) {
  counters_->of(why).fetch_add(1);
  pending_.erase(at);
}

void TlsDoor::PauseListener(uint64_t until_ns) {
  paused_until_ns_ = until_ns;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.fd(), nullptr);
}

// What is due, and the timer for what is due next. The listener comes back by itself.
void TlsDoor::Expire(uint64_t now_ns) {
  while (!pending_.empty() && pending_.front().until_ns <= now_ns) {
    Refuse(pending_.begin(), TlsRefusal::kSilent);
  }
  if (paused_until_ns_ != 0 && paused_until_ns_ <= now_ns && Watch(listener_.fd()).ok()) {
    paused_until_ns_ = 0;
  }
  uint64_t next_ns = pending_.empty() ? UINT64_MAX : pending_.front().until_ns;
  if (paused_until_ns_ != 0) next_ns = std::min(next_ns, paused_until_ns_);
  // Setting it also takes back that it is readable.
  SetTimer(timer_.get(), next_ns == UINT64_MAX ? next_ns : next_ns - std::min(next_ns, now_ns));
}

}  // namespace lockhost::server
