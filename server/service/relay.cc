// SPDX-License-Identifier: Apache-2.0
#include "server/service/relay.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <utility>

namespace lockhost::server {
namespace {

constexpr size_t kPortionBytes = 16 * 1024;

}  // namespace

absl::StatusOr<std::shared_ptr<Relay>> Relay::Create(std::unique_ptr<PeerStream> peer,
                                                     FrameBudget* budget,
                                                     WaitWritable wait_writable) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ErrnoToStatus(errno, "socketpair");
  }
  return std::shared_ptr<Relay>(new Relay(std::move(peer), UniqueFd(ends[0]), UniqueFd(ends[1]),
                                          budget, std::move(wait_writable)));
}

Relay::Relay(std::unique_ptr<PeerStream> peer, UniqueFd pipe, UniqueFd grpc_end,
             FrameBudget* budget, WaitWritable wait_writable)
    : peer_(std::move(peer)),
      pipe_(std::move(pipe)),
      grpc_end_(std::move(grpc_end)),
      inspector_(budget),
      wait_writable_(std::move(wait_writable)) {}

Relay::Taken Relay::TakeIn(uint64_t now_ns) {
  if (!FlushIn()) return {.over = true};
  if (!unsent_in_.empty()) return {.more = true};
  {
    const std::lock_guard lock(mutex_);
    if (blocked_) return {};
  }
  char portion[kPortionBytes];
  const PeerStream::Received got = peer_->Receive(portion);
  inspector_.ExpectAnswers(sends_.exchange(0, std::memory_order_relaxed));
  const std::string_view bytes(portion, got.bytes);
  if (auto refusal = inspector_.TakeOverhead(got.overhead_bytes, now_ns)) {
    return {.refused = refusal};
  }
  if (auto refusal = inspector_.Take(bytes, now_ns)) return {.refused = refusal};
  {
    const std::lock_guard lock(mutex_);
    short_way_.TakeIn(bytes, &unsent_in_);
  }
  if (got.over || !FlushIn()) return {.over = true};
  return {.more = got.more || !unsent_in_.empty()};
}

UniqueFd Relay::TakeGrpcEnd() {
  if (!inspector_.greeted() || !grpc_end_.valid()) return UniqueFd();
  grpc_fd_ = grpc_end_.get();
  return std::move(grpc_end_);
}

bool Relay::HasTakenIn() const {
  int unread = 0;
  return grpc_end_.valid() || ioctl(pipe_.get(), SIOCOUTQ, &unread) != 0 || unread == 0;
}

Relay::State Relay::SendOut() {
  const std::lock_guard lock(mutex_);
  while (!over_) {
    if (!FlushOut()) return State::kOver;
    if (blocked_) return State::kOpen;
    char portion[kPortionBytes];
    const ssize_t size = recv(pipe_.get(), portion, sizeof(portion), MSG_DONTWAIT);
    if (WouldBlock(size)) return State::kOpen;
    if (size <= 0) return State::kOver;
    unsent_out_.assign(portion, static_cast<size_t>(size));
    short_way_.FollowOut(unsent_out_);
    sends_.fetch_add(1, std::memory_order_relaxed);
  }
  return State::kOver;
}

void Relay::AwaitMessage(std::string_view message) {
  const std::lock_guard lock(mutex_);
  short_way_.Await(message);
}

uint32_t Relay::FoundStream() {
  const std::lock_guard lock(mutex_);
  return short_way_.TakeFound();
}

bool Relay::SendPastGrpc(uint32_t stream_id, uint64_t grpc_bytes, std::string* frame) {
  const std::lock_guard lock(mutex_);
  const auto size = static_cast<uint32_t>(frame->size() - http2::kHeaderBytes);
  if (over_ || !unsent_out_.empty() || !short_way_.Spend(stream_id, size, grpc_bytes)) return false;
  http2::WriteHeader({.length = size, .type = http2::kData, .flags = 0, .stream_id = stream_id},
                     frame->data());
  unsent_out_.swap(*frame);
  sends_.fetch_add(1, std::memory_order_relaxed);
  // That the peer is gone the wire sees by itself.
  FlushOut();
  return true;
}

void Relay::Disconnect() {
  const std::lock_guard lock(mutex_);
  over_ = true;
  shutdown(peer_->fd(), SHUT_RDWR);
  shutdown(pipe_.get(), SHUT_RDWR);
}

bool Relay::FlushIn() { return unsent_in_.empty() || SendSome(pipe_.get(), &unsent_in_); }

bool Relay::FlushOut() {
  if (!unsent_out_.empty() && !peer_->Send(&unsent_out_)) return false;
  const bool blocked = !unsent_out_.empty();
  if (blocked != blocked_) wait_writable_(peer_->fd(), blocked);
  blocked_ = blocked;
  return true;
}

}  // namespace lockhost::server
