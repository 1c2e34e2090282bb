// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/threads/thread_desk.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "client/page/thread_registration.h"

namespace lockhost::guest_agent {
namespace {

constexpr size_t kMostVisitors = 64;
constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint64_t kPatienceNs = 1'000 * kNsPerMs;
constexpr uint64_t kExtendEveryNs = 1'000 * kNsPerMs;

template <typename T>
void Store(T& word, T value) {
  std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

// A peer that has gone, or has no room, gets nothing.
void Answer(int connection, const ThreadRegistry::Grant& grant) {
  lockhost_thread_reply reply = {.result = grant.result, .reserved = 0};
  iovec text = {.iov_base = &reply, .iov_len = sizeof(reply)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message = {};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  if (grant.page_fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &grant.page_fd, sizeof(int));
  }
  sendmsg(connection, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int MsUntil(uint64_t then_ns, uint64_t now_ns) {
  return then_ns <= now_ns ? 0 : static_cast<int>((then_ns - now_ns) / kNsPerMs) + 1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ThreadDesk>> ThreadDesk::Open(const std::string& hint_page,
                                                             ThreadRegistry::Limits limits,
                                                             Clock clock, ThreadStats* stats) {
  auto page =
      MappedPage::Open(hint_page, sizeof(lockhost_hint_header), LOCKHOST_HINT_PAGE_BYTES(1), 0644);
  if (!page.ok()) return page.status();
  auto registry = ThreadRegistry::Create(limits, clock, stats);
  if (!registry.ok()) return registry.status();
  return std::unique_ptr<ThreadDesk>(new ThreadDesk(*std::move(page), clock, *std::move(registry)));
}

ThreadDesk::ThreadDesk(MappedPage page, Clock clock, std::unique_ptr<ThreadRegistry> registry)
    : page_(std::move(page)), clock_(clock), registry_(std::move(registry)) {
  EndLease();
}

ThreadDesk::~ThreadDesk() { EndLease(); }

void ThreadDesk::ExtendLease(uint64_t now_ns) {
  extended_ns_ = now_ns;
  Store<uint64_t>(header()->threads_generation, registry_->generation());
  Store<uint64_t>(header()->threads_valid_until_ns, now_ns + kLeaseNs);
}

void ThreadDesk::EndLease() {
  extended_ns_ = 0;
  Store<uint64_t>(header()->threads_valid_until_ns, 0);
  Store<uint64_t>(header()->threads_generation, 0);
}

void ThreadDesk::Take(UniqueFd connection) {
  if (visitors_.size() == kMostVisitors) visitors_.pop_front();
  visitors_.push_back({std::move(connection), clock_.now_ns() + kPatienceNs});
}

void ThreadDesk::Watch(std::vector<pollfd>* watched) const {
  watched->push_back({.fd = registry_->event_fd(), .events = POLLIN, .revents = 0});
  for (const Visitor& visitor : visitors_) {
    watched->push_back({.fd = visitor.connection.get(), .events = POLLIN, .revents = 0});
  }
}

int ThreadDesk::TimeoutMs() const {
  if (registry_->HasToPrepare()) return 0;
  const uint64_t now_ns = clock_.now_ns();
  int least = -1;
  const auto wake_at = [&](uint64_t then_ns) {
    const int ms = MsUntil(then_ns, now_ns);
    least = least < 0 ? ms : std::min(least, ms);
  };
  if (!visitors_.empty()) wake_at(visitors_.front().until_ns);
  if (!registry_->empty()) wake_at(extended_ns_ + kExtendEveryNs);
  return least;
}

bool ThreadDesk::Serve(const Visitor& visitor) {
  // One byte more than a request has, so that a longer one is seen to be one.
  std::array<char, sizeof(lockhost_thread_request) + 1> request;
  const int connection = visitor.connection.get();
  const ssize_t got = recv(connection, request.data(), request.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) return true;  // an older library, or one that has what it wanted
  const auto grant =
      registry_->Register(PeerOf(connection), request.data(), static_cast<size_t>(got));
  // The page counts from the first look on.
  if (grant.result == LOCKHOST_THREAD_RESULT_GRANTED) ExtendLease(clock_.now_ns());
  Answer(connection, grant);
  return true;
}

void ThreadDesk::Work(const pollfd* found, size_t count) {
  bool busy = false;
  if (count > 0 && found[0].revents != 0) registry_->Reap();
  for (size_t i = 1; i < count; ++i) {
    if (found[i].revents == 0) continue;
    busy = true;
    std::erase_if(visitors_, [&](const Visitor& visitor) {
      return visitor.connection.get() == found[i].fd && Serve(visitor);
    });
  }
  const uint64_t now_ns = clock_.now_ns();
  while (!visitors_.empty() && visitors_.front().until_ns <= now_ns) visitors_.pop_front();
  if (!registry_->empty() && now_ns - extended_ns_ >= kExtendEveryNs) {
    ExtendLease(now_ns);
    registry_->CountPrograms();
  }
  if (!busy) registry_->Prepare();
}

}  // namespace lockhost::guest_agent
