// SPDX-License-Identifier: Apache-2.0
//
// One round of the wire's thread: which queues it looks at, and for how long.
#include <grpc/support/time.h>

#include <algorithm>
#include <utility>

#include "server/service/wire.h"

namespace lockhost::server {
namespace {

// So that one busy guest cannot keep the thread; what is left is the next wake-up's.
constexpr int kMostLooks = 64;
// A server that nothing tells of is looked at once in so many rounds.
constexpr size_t kTurns = 16;

size_t Share(size_t servers) { return 1 + servers / kTurns; }

}  // namespace

// Before gRPC looks. True if a connection is among them. Connections are accepted once at
// each wake-up, so that the pace of a peer that connects in a loop is ours.
bool Wire::TakeEvents(epoll_event* events, int count, bool accept) {
  bool any = false;
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (fd == wake_.get()) {
      any = all_ = true;
    } else if (const auto owner = connections_.find(fd); owner != connections_.end()) {
      any = true;
      told_.insert(owner->second);
      owner->second->OnPeer(fd, (events[i].events & (EPOLLHUP | EPOLLERR)) != 0);
    } else if (accept) {
      accept_loop_.Accept(fd, clock_.now_ns());
    }
  }
  return any;
}

// Until no socket has anything to read, or for long enough. True if a call has moved.
bool Wire::Look() {
  const Entries entries = AllEntries();
  const uint64_t now_ns = clock_.now_ns();
  turn_ += Share(entries.size());
  Entries chosen;
  std::unordered_set<WireServer*> moved;
  bool more = true;
  for (int look = 1; look <= kMostLooks; ++look) {
    chosen = Chosen(entries, now_ns);
    const bool taken_in = NotTakenIn(chosen).empty();
    for (const std::shared_ptr<Entry>& entry : chosen) {
      if (LookAt(entry.get()) && !entry->empty) moved.insert(entry->server);
    }
    SendOut();
    epoll_event events[kEventsAtOnce];
    const int count = epoll_wait(epoll_.get(), events, kEventsAtOnce, 0);
    more = TakeEvents(events, count, false);
    if (!more && look >= LeastLooks(chosen) && (taken_in || look >= EnoughLooks(chosen))) break;
  }
  if (all_) all_looked_ns_ = now_ns;
  if (!more) told_ = NotTakenIn(chosen);
  const bool any = !moved.empty();
  told_.merge(moved);
  return any;
}

Wire::Entries Wire::Chosen(const Entries& entries, uint64_t now_ns) const {
  if (all_) return entries;
  Entries chosen;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = *entries[i];
    const bool in_turn = (i + turn_) % entries.size() < Share(entries.size());
    if (in_turn || entry.due_ns <= now_ns || told_.contains(entry.server)) {
      chosen.push_back(entries[i]);
    }
  }
  return chosen;
}

std::unordered_set<WireServer*> Wire::NotTakenIn(const Entries& entries) const {
  std::unordered_set<WireServer*> found;
  for (const std::shared_ptr<Entry>& entry : entries) {
    if (entry->empty || !told_.contains(entry->server)) continue;
    if (!entry->server->HasTakenIn()) found.insert(entry->server);
  }
  return found;
}

void Wire::SendOut() {
  epoll_event events[kEventsAtOnce];
  const int count = epoll_wait(written_.get(), events, kEventsAtOnce, 0);
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (const auto owner = connections_.find(fd); owner != connections_.end()) {
      owner->second->OnGrpc(fd);
    }
  }
}

// gRPC handles one socket at each look at a queue, whosever it is, and of each socket it
// may have been told: so many rounds of looks see all of these servers'...
int Wire::LeastLooks(const Entries& entries) {
  size_t connections = 0;
  for (const std::shared_ptr<Entry>& entry : entries) {
    if (!entry->empty) connections += entry->server->connections();
  }
  return 1 + static_cast<int>(entries.empty() ? 0 : connections / entries.size());
}

// ...and so many all sockets that there are.
int Wire::EnoughLooks(const Entries& entries) const {
  return 2 + static_cast<int>(entries.empty() ? 0 : connections_.size() / 2 / entries.size());
}

void Wire::CloseIfDue(Entry* entry) {
  const std::lock_guard lock(mutex_);
  if (entry->close && !std::exchange(entry->closed, true)) entry->server->Close();
}

bool Wire::LookAt(Entry* entry) {
  CloseIfDue(entry);
  void* tag = nullptr;
  bool ok = false;
  bool moved = false;
  auto got = grpc::CompletionQueue::GOT_EVENT;
  while (!entry->empty) {
    const std::lock_guard inside(inside_grpc_);
    got = entry->server->queue()->AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_REALTIME));
    if (got != grpc::CompletionQueue::GOT_EVENT) break;
    static_cast<CallTag*>(tag)->Proceed(ok);
    moved = true;
  }
  if (got == grpc::CompletionQueue::SHUTDOWN) {
    entry->server->Emptied();
    const std::lock_guard lock(mutex_);
    entry->empty = true;
    emptied_.notify_all();
    return moved;
  }
  if (!entry->empty) entry->due_ns = entry->server->Look(clock_.now_ns());
  return moved;
}

}  // namespace lockhost::server
