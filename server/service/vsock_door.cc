// SPDX-License-Identifier: Apache-2.0
#include "server/service/vsock_door.h"

#include <sys/socket.h>
// After sys/socket.h, which it needs.
#include <linux/vm_sockets.h>

#include <cerrno>
#include <utility>

namespace lockhost::server {
namespace {

constexpr int kAcceptsAtOnce = 16;
// When descriptors or memory have run out: the listener would tell all the time, for nothing.
constexpr uint64_t kTroublePauseNs = 100'000'000;

}  // namespace

std::optional<uint32_t> VsockPeerCid(int fd) {
  sockaddr_vm address{};
  socklen_t size = sizeof(address);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      address.svm_family != AF_VSOCK) {
    return std::nullopt;
  }
  return address.svm_cid;
}

absl::StatusOr<std::unique_ptr<VsockDoor>> VsockDoor::Open(Listener listener, PeerCid peer_cid,
                                                           Wire* wire, HostCounters* counters) {
  std::unique_ptr<VsockDoor> door(
      new VsockDoor(std::move(listener), std::move(peer_cid), wire, counters));
  absl::Status added = wire->accept_loop().Add(door.get());
  if (!added.ok()) return added;
  return door;
}

VsockDoor::VsockDoor(Listener listener, PeerCid peer_cid, Wire* wire, HostCounters* counters)
    : listener_(std::move(listener)),
      peer_cid_(std::move(peer_cid)),
      wire_(wire),
      counters_(counters) {}

VsockDoor::~VsockDoor() { wire_->accept_loop().Remove(this); }

void VsockDoor::Put(uint64_t vm_id, uint32_t cid, VmServer* server) {
  const std::lock_guard lock(mutex_);
  cids_.Set(vm_id, cid);
  servers_[vm_id] = server;
}

void VsockDoor::Remove(uint64_t vm_id) {
  const std::lock_guard lock(mutex_);
  cids_.Remove(vm_id);
  servers_.erase(vm_id);
}

uint64_t VsockDoor::Accept(uint64_t now_ns) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    UniqueFd connection = listener_.Accept();
    if (!connection.valid()) return errno == EAGAIN ? 0 : now_ns + kTroublePauseNs;
    Give(std::move(connection), now_ns);
  }
  return 0;
}

void VsockDoor::Give(UniqueFd connection, uint64_t now_ns) {
  const std::optional<uint32_t> cid = peer_cid_(connection.get());
  const std::lock_guard lock(mutex_);
  const CidTable::Owner owner = cids_.Find(cid.value_or(0));
  switch (owner.answer) {
    case CidTable::Answer::kUnknown:
      counters_->vsock_unknown_cid.fetch_add(1);
      return;
    case CidTable::Answer::kClaimedTwice:
      counters_->vsock_claimed_twice.fetch_add(1);
      return;
    case CidTable::Answer::kOneVm:
      servers_.at(owner.vm_id)
          ->Admit(std::make_unique<SocketStream>(std::move(connection)), now_ns);
  }
}

}  // namespace lockhost::server
