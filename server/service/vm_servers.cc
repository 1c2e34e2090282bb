// SPDX-License-Identifier: Apache-2.0
#include "server/service/vm_servers.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::server {

VmServers::VmServers(VmServer::Options options, std::vector<HybridSocket> hybrid_sockets,
                     Publisher* publisher, BoostRequester* booster, HintQueue* queue, Wire* wire,
                     VsockDoor* vsock, TlsDoor* tls, Clock clock)
    : options_(options),
      hybrid_sockets_(std::move(hybrid_sockets)),
      publisher_(publisher),
      booster_(booster),
      queue_(queue),
      wire_(wire),
      vsock_(vsock),
      tls_(tls),
      clock_(clock),
      ender_([this] { EndThem(); }) {}

VmServers::~VmServers() {
  {
    const std::lock_guard lock(mutex_);
    for (auto& [vm_id, server] : servers_) ending_.push_back(std::move(server));
    stop_ = true;
  }
  wake_.notify_one();
  ender_.join();
}

absl::Status VmServers::Start(std::shared_ptr<VmRecord> record) {
  const uint64_t vm_id = record->vm_id();
  auto server =
      VmServer::Start(options_, std::move(record), publisher_, booster_, queue_, wire_, clock_);
  if (!server.ok()) return server.status();
  servers_[vm_id] = *std::move(server);
  return absl::OkStatus();
}

absl::Status VmServers::ApplyFacts(const VmFacts& facts) {
  const auto found = servers_.find(facts.vm_id);
  if (found == servers_.end()) return absl::OkStatus();
  if (vsock_ != nullptr) vsock_->Put(facts.vm_id, facts.vsock_cid, found->second.get());
  if (tls_ != nullptr) tls_->Put(facts, found->second.get());
  absl::Status result;
  for (const HybridSocket& socket : hybrid_sockets_) {
    if (socket.vm != facts.name && socket.vm != facts.uuid) continue;
    result.Update(OpenHybrid(socket, facts.vm_id));
  }
  return result;
}

absl::Status VmServers::OpenHybrid(const HybridSocket& socket, uint64_t vm_id) {
  const auto [owner, is_new] = hybrid_owners_.emplace(socket.path, vm_id);
  if (owner->second != vm_id) {
    return absl::AlreadyExistsError(
        absl::StrCat(socket.path, ": VM ", owner->second, " of the same name has it"));
  }
  if (!is_new) return absl::OkStatus();
  absl::StatusOr<Listener> listener = Listener::OpenUnix(socket.path, options_.socket_mode);
  absl::Status opened = listener.status();
  if (opened.ok()) opened = servers_.at(vm_id)->Listen(*std::move(listener));
  if (!opened.ok()) hybrid_owners_.erase(owner);
  return opened;
}

void VmServers::End(uint64_t vm_id) {
  if (vsock_ != nullptr) vsock_->Remove(vm_id);
  if (tls_ != nullptr) tls_->Remove(vm_id);
  std::erase_if(hybrid_owners_, [vm_id](const auto& owner) { return owner.second == vm_id; });
  auto found = servers_.extract(vm_id);
  if (found.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_.push_back(std::move(found.mapped()));
  }
  wake_.notify_one();
}

void VmServers::SetLimits(const VmServer::Options& options) {
  options_ = options;
  for (auto& [vm_id, server] : servers_) {
    server->SetLimits(options.max_streams, options.connections);
  }
}

void VmServers::StopServing() {
  for (auto& [vm_id, server] : servers_) server->StopServing();
}

void VmServers::EndThem() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !ending_.empty(); });
    if (ending_.empty()) return;
    std::vector<std::unique_ptr<VmServer>> now = std::exchange(ending_, {});
    lock.unlock();
    now.clear();
    lock.lock();
  }
}

}  // namespace lockhost::server
