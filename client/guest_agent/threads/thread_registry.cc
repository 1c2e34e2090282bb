// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/threads/thread_registry.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace lockhost::guest_agent {
namespace {

bool IsSound(const lockhost_thread_request& request) {
  return request.magic == LOCKHOST_THREAD_REQUEST_MAGIC &&
         request.abi_version == LOCKHOST_PAGE_ABI_VERSION &&
         request.number_offset % int64_t{sizeof(uint32_t)} == 0 &&
         request.number_offset > -LOCKHOST_MAX_NUMBER_OFFSET &&
         request.number_offset < LOCKHOST_MAX_NUMBER_OFFSET;
}

void Set(std::atomic<uint64_t>& counter, uint64_t value) {
  counter.store(value, std::memory_order_relaxed);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ThreadRegistry>> ThreadRegistry::Create(Limits limits, Clock clock,
                                                                       ThreadStats* stats) {
  auto programs = ThreadPrograms::Load();
  if (!programs.ok()) return programs.status();
  UniqueFd ended(epoll_create1(EPOLL_CLOEXEC));
  if (!ended.valid()) return absl::ErrnoToStatus(errno, "make an epoll instance");
  return std::unique_ptr<ThreadRegistry>(
      new ThreadRegistry(limits, clock, stats, *std::move(programs), std::move(ended)));
}

ThreadRegistry::ThreadRegistry(Limits limits, Clock clock, ThreadStats* stats,
                               std::unique_ptr<ThreadPrograms> programs, UniqueFd ended)
    : limits_(limits),
      clock_(clock),
      generation_(std::max<uint64_t>(clock.now_ns(), 1)),
      stats_(stats),
      programs_(std::move(programs)),
      tables_(programs_->tables_fd(), generation_),
      ended_(std::move(ended)),
      grants_(limits.grants_per_second, limits.grants_at_once) {}

ThreadRegistry::Grant ThreadRegistry::Register(absl::StatusOr<Peer> peer, const void* request,
                                               size_t bytes) {
  const Grant grant = Decide(std::move(peer), request, bytes);
  Count(grant.result);
  return grant;
}

ThreadRegistry::Grant ThreadRegistry::Decide(absl::StatusOr<Peer> peer, const void* request,
                                             size_t bytes) {
  lockhost_thread_request sent = {};
  if (bytes != sizeof(sent)) return {LOCKHOST_THREAD_RESULT_BAD_REQUEST};
  memcpy(&sent, request, sizeof(sent));
  if (!IsSound(sent)) return {LOCKHOST_THREAD_RESULT_BAD_REQUEST};
  if (!peer.ok()) return {LOCKHOST_THREAD_RESULT_NO_PEER};
  Reap();
  if (const auto known = processes_.find(peer->pid); known != processes_.end()) {
    if (programs_->Knows(static_cast<uint32_t>(peer->pid), known->second.id)) {
      return {LOCKHOST_THREAD_RESULT_ALREADY};
    }
    Drop(known);
  }
  if (!HasRoomFor(peer->uid) || !grants_.Take(clock_.now_ns())) {
    return {LOCKHOST_THREAD_RESULT_TOO_MANY};
  }
  return Admit(*std::move(peer), sent.number_offset);
}

bool ThreadRegistry::HasRoomFor(uid_t uid) const {
  const auto of_user =
      std::count_if(processes_.begin(), processes_.end(),
                    [uid](const auto& entry) { return entry.second.peer.uid == uid; });
  return processes_.size() < limits_.processes &&
         static_cast<size_t>(of_user) < limits_.of_one_user;
}

ThreadRegistry::Grant ThreadRegistry::Admit(Peer peer, int64_t number_offset) {
  auto table = tables_.Take();
  if (!table.ok()) return {LOCKHOST_THREAD_RESULT_NO_MEMORY};
  const auto tgid = static_cast<uint32_t>(peer.pid);
  const uint64_t id = next_id_++;
  const lt_process process = {.id = id,
                              .number_offset = number_offset,
                              .leader_start = 0,
                              .table = table->index,
                              .reserved = 0};
  if (!programs_->Add(tgid, process).ok()) {
    tables_.Release(table->index);
    return {LOCKHOST_THREAD_RESULT_NO_MEMORY};
  }
  epoll_event event = {.events = EPOLLIN, .data = {.fd = peer.pidfd.get()}};
  const bool watched = epoll_ctl(ended_.get(), EPOLL_CTL_ADD, peer.pidfd.get(), &event) == 0;
  // Alive after the programs know of it: so they took no other process' thread for its own.
  const bool alive = !HasEnded(peer);
  const pid_t pid = peer.pid;
  const auto entry =
      processes_.insert_or_assign(pid, Process{std::move(peer), id, *std::move(table)}).first;
  Set(stats_->processes, processes_.size());
  if (watched && alive) return {LOCKHOST_THREAD_RESULT_GRANTED, entry->second.table.fd.get()};
  Drop(entry);
  return {watched ? LOCKHOST_THREAD_RESULT_NO_PEER : LOCKHOST_THREAD_RESULT_NO_MEMORY};
}

void ThreadRegistry::Drop(std::map<pid_t, Process>::iterator process) {
  programs_->Remove(static_cast<uint32_t>(process->first), process->second.table.index);
  tables_.Release(process->second.table.index);
  processes_.erase(process);  // closing the pidfd takes it from the epoll instance
  Set(stats_->processes, processes_.size());
  CountPrograms();
}

void ThreadRegistry::Reap() {
  epoll_event events[16];
  if (epoll_wait(ended_.get(), events, 16, 0) <= 0) return;
  for (auto process = processes_.begin(); process != processes_.end();) {
    const auto next = std::next(process);
    if (HasEnded(process->second.peer)) Drop(process);
    process = next;
  }
}

bool ThreadRegistry::Prepare() {
  tables_.PrepareOne();
  return tables_.HasToPrepare();
}

void ThreadRegistry::Count(lockhost_thread_result result) {
  stats_->results[result].fetch_add(1, std::memory_order_relaxed);
}

void ThreadRegistry::CountPrograms() {
  const auto counters = programs_->Counters();
  Set(stats_->bound, counters[LT_BOUND]);
  Set(stats_->unreadable, counters[LT_UNREADABLE]);
  Set(stats_->out_of_range, counters[LT_OUT_OF_RANGE]);
  Set(stats_->binds_failed, counters[LT_BIND_FAILED]);
}

}  // namespace lockhost::guest_agent
